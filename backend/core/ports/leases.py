"""What a feature version lacks, leased to workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from backend.core.domain import Claim


class Leases(Protocol):
    """The tasks that are to embed for a version: the live one (also meant by None), or one in state "embedding"."""

    def waiting(self, project: int, version: int | None = None, most: int | None = None) -> int:
        """How many tasks the version lacks, leased ones included; counts no further than `most`."""
        ...

    def claim(self, project: int, owner: str, limit: int, lease: float, version: int | None = None) -> list[Claim]:
        """Lease up to `limit` tasks, or a single one that workers died over; two callers never share one."""
        ...

    def renew(self, project: int, owner: str, lease: float) -> None:
        """Prolong every lease of `owner`."""
        ...

    def hold(self, project: int, owner: str, ids: Sequence[int], lease: float, version: int) -> set[int]:
        """Those of `ids` whose results count if they are stored now; their leases begin anew.

        Left out are tasks that were deleted, show another image by now, or are in another worker's hands because a
        lease ran out, and all of a version that is neither live nor made any more.
        """
        ...

    def release(self, project: int, owner: str) -> None:
        """Give back what `owner` still holds: nobody died."""
        ...

    def postpone(self, project: int, ids: Sequence[int], seconds: float, version: int | None = None) -> dict[int, int]:
        """Give back tasks whose images were not handed out, for nobody to claim before `seconds` times 2 each time.

        Returns how many times it has happened to each.
        """
        ...

    def finish(
        self,
        project: int,
        embedded: Mapping[int, str],
        failed: Mapping[int, str],
        notes: Mapping[int, str] = MappingProxyType({}),
        *,
        version: int | None = None,
    ) -> None:
        """These tasks wait no longer: embedded id -> digest ("" keeps the known one), failed id -> reason.

        What the version does not lack (any more) is passed over, and so is a task whose image changed meanwhile: it
        goes on waiting. The tasks' states follow if the version is live. notes : of embedded tasks, which of their
        images could not be read.
        """
        ...

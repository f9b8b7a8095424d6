"""The record of publications: one worker at a time makes them, under a lease whose token only grows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from backend.core.domain import Publication, PublicationState


class Publications(Protocol):
    def take_lease(self, project: int, owner: str, seconds: float) -> int | None:
        """The lease's token; None while another one holds it. What its last holder left "importing" has failed."""
        ...

    def renew_lease(self, project: int, token: int, seconds: float) -> None:
        """Raises `LeaseLost` if another one took it."""
        ...

    def end_lease(self, project: int, token: int) -> None: ...
    def begin_publication(
        self,
        project: int,
        ranking: int,
        at: float,
        *,
        token: int,
        imported: Sequence[int] = (),
        healed: str = "",
        avoid: Collection[str] = (),
    ) -> Publication:
        """A new attempt in state "importing" with a model_version never used before, nor among `avoid`.

        imported: the tasks that get predictions; healed: what was wrong with the live one, if this one repairs it.
        """
        ...

    def move_publication(
        self, project: int, publication: int, to: PublicationState, *, token: int, reason: str = "", at: float = 0.0
    ) -> None:
        """Along `PUBLICATION_MOVES`, else `ImpossibleMove`; `LeaseLost` if the token is not the lease's any more.

        Going "live" retires the one that was live (it fails if this one heals it), in the same transaction.
        """
        ...

    def live(self, project: int) -> Publication | None: ...
    def publications(self, project: int, states: Sequence[PublicationState] = ()) -> list[Publication]:
        """Newest first."""
        ...

    def last_healing(self, project: int) -> Publication | None:
        """The newest attempt that was made to heal another one, whatever became of it."""
        ...

    def deleted_versions(self, project: int, among: Collection[str]) -> list[str]:
        """Those of these model_versions whose publication is "deleted"."""
        ...

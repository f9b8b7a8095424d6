"""The record of tasks and of what people said of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from backend.core.domain import Annotation, Claim, Counts, Deleted, Label, Pages, RemoteTask, Task, TaskState


class Tasks(Protocol):
    def upsert(
        self, project: int, tasks: Sequence[tuple[int, str | None]], pages: Mapping[int, Pages] = MappingProxyType({})
    ) -> int:
        """Add tasks (pending; failed with a reason when the image is None); changed images make it pending again.

        pages : of those tasks that are not simply one image. Returns how many became pending.
        """
        ...

    def keep_only(self, project: int, ids: Iterable[int]) -> list[int]:
        """Drop the tasks that are not among `ids`, with their annotations; returns the dropped ids."""
        ...

    def claim(self, project: int, owner: str, limit: int, lease: float) -> list[Claim]:
        """Lease up to `limit` pending tasks, or a single one that workers died over; two callers never share one."""
        ...

    def renew(self, project: int, owner: str, lease: float) -> None:
        """Prolong every lease of `owner`."""
        ...

    def release(self, project: int, owner: str) -> None:
        """Give back what `owner` still holds: nobody died."""
        ...

    def postpone(self, project: int, ids: Sequence[int], seconds: float) -> dict[int, int]:
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
        """Set states: embedded id -> digest, failed id -> reason; ends their leases.

        notes : of embedded tasks, which of their images could not be read. Nothing changes if `version`, of which these
        features are, is not live any more.
        """
        ...

    def retry_failed(self, project: int, ids: Sequence[int] | None = None) -> int:
        """Failed tasks become pending again; returns how many."""
        ...

    def counts(self, project: int) -> Counts: ...
    def list(
        self,
        project: int,
        *,
        state: TaskState | None = None,
        ids: Sequence[int] | None = None,
        limit: int = 1000,
    ) -> list[Task]: ...
    def changed_since(self, project: int, at: float) -> int:
        """How many tasks got, lost or changed their label (or skip, or annotation) after `at`."""
        ...

    def changed_tasks(self, project: int, at: float) -> set[int]:
        """The tasks that `changed_since` counts."""
        ...

    def draw_audit(self, project: int, share: float, seed: int) -> None:
        """Decide for each embedded task that was not decided yet and has no label or skip: those are the population."""
        ...

    def forget_draw(self, project: int) -> None:
        """Nobody is drawn or passed over for the audit any more, unless a task ever had a label or skip."""
        ...

    def audit(self, project: int) -> set[int]:
        """Ids of the tasks drawn for the audit."""
        ...

    def population(self, project: int) -> int:
        """How many tasks the audit stands for: drawn or passed over before they had a label or skip."""
        ...

    def labels(self, project: int) -> tuple[dict[int, Label], set[int]]:
        """(task id -> label of labeled tasks, ids of the others that people dealt with: annotated or skipped)."""
        ...

    def labeled_at(self, project: int) -> dict[int, float]:
        """When each task that has annotations got the newest of them, by Label Studio's clock."""
        ...

    def apply(self, project: int, annotations: Sequence[Annotation], deleted: Sequence[Deleted] = ()) -> int:
        """Fold annotation events into the label table; any order, any number of times. Returns changed tasks.

        An older updated_at never replaces a newer one; a deletion is final (ids are not reused). The label of a task
        is the majority of its annotations' (see `kinds.vote`). Without one it is annotated if somebody submitted an
        annotation, else skipped if somebody skipped it.
        Annotations of unknown tasks are kept and count once the task appears.
        """
        ...

    def replace(self, project: int, tasks: Sequence[RemoteTask]) -> int:
        """Make the annotations of these tasks exactly what Label Studio shows. Returns changed tasks."""
        ...

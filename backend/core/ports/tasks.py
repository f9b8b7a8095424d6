"""The record of tasks and of what people said of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from backend.core.domain import Annotation, Counts, Deleted, Label, Pages, RemoteTask, Task, TaskState
from backend.core.ports.leases import Leases


class Tasks(Leases, Protocol):
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

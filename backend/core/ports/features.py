"""Where vectors are kept, and the record of their versions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from backend.core.domain import FeatureBatch, FeatureTable, Guess, Guesses
from backend.core.domain.training import FeatureSet, Judgement, Method, Training
from backend.core.renewal.states import MoveName


class FeatureStore(Protocol):
    """Versioned features and guesses of projects; appends are transactional and may come from many workers."""

    def append(self, project: int, version: int, batch: FeatureBatch) -> None: ...
    def present(self, project: int, version: int, task_ids: Sequence[int]) -> set[int]: ...
    def ids(self, project: int, version: int) -> NDArray[np.int64]:
        """Tasks that have features, ascending and distinct; reads no vectors."""
        ...

    def load(self, project: int, version: int) -> FeatureTable:
        """All rows, each task once; cached in this process, only what is new is read. No rows: shape (0, 0)."""
        ...

    def remove(self, project: int, version: int, task_ids: Sequence[int]) -> None: ...
    def clear(self, project: int, version: int) -> None:
        """Delete all features of this version, whoever stored them."""
        ...

    def clear_guesses(self, project: int) -> None: ...
    def optimize(self, project: int, version: int) -> None:
        """Join small fragments and drop old ones; safe while others read."""
        ...

    def write_guesses(self, project: int, guesses: Guesses) -> None: ...
    def read_guesses(self, project: int, task_ids: Sequence[int]) -> dict[int, Guess]: ...


class FeatureSets(Protocol):
    """The versions of a project's features; version 1 is there from the start."""

    def list(self, project: int) -> list[FeatureSet]:
        """Oldest first."""
        ...

    def get(self, project: int, version: int) -> FeatureSet:
        """Raises `UserError` naming the versions there are."""
        ...

    def begin(
        self,
        project: int,
        *,
        version: int,
        method: Method,
        base: int,
        labels: int,
        labels_digest: str,
        held_out: Sequence[int],
        at: float,
    ) -> FeatureSet:
        """A new version in state "training", numbered `version` at least. Raises `UserError` while one is under way."""
        ...

    def begin_plain(self, project: int, backbone: str, *, version: int, over: int, at: float) -> FeatureSet | None:
        """A new version in state "live" for another backbone of the settings, in place of `over`.

        In one transaction `over` is retired, a renewal under way cancelled, and every task pending. None, and nothing
        has changed, if `over` is not live any more: somebody else was faster.
        """
        ...

    def anew(self, project: int, version: int) -> bool:
        """Every task becomes pending because the store has lost `version`; False, and nothing, if it is not live."""
        ...

    def move(
        self,
        project: int,
        version: int,
        name: MoveName,
        *,
        at: float,
        over: int | None = None,
        stored: Collection[int] = (),
        report: Training | Judgement | None = None,
        reason: str | None = None,
        checkpoint: str | None = None,
        backbone: str | None = None,
    ) -> FeatureSet | None:
        """Change the version's state by a move of `renewal_states.MOVES`, in one transaction, with what is given.

        None, and nothing has changed, if the version is in none of the move's first states now, or another version than
        `over` (None: whichever) is live. `report` is set, what else the report holds stays. On a move to "live" the
        one before is retired, the project follows, and so do its tasks: those embedded but not among `stored`, the ids
        that have features in the version, become pending; what workers embed for the one before does not count.
        Raises `UserError` for an unknown version.
        """
        ...

    def note_rate(self, project: int, version: int, embed_rate: float, *, at: float) -> FeatureSet:
        """Set images/s of one worker; what else the report holds stays: jobs of a version may overlap."""
        ...

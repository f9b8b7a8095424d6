"""Where vectors are kept, and the record of their versions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from backend.core.domain import FeatureBatch, FeatureTable, Guess, Guesses
from backend.core.training import FeatureSet, Method


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
        """Delete all features of this version, whoever stored them: before it begins, and when it is gone."""
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
        method: Method,
        base: int,
        labels: int,
        labels_digest: str,
        held_out: Sequence[int],
        at: float,
    ) -> FeatureSet:
        """A new version in state "training". Raises `UserError` while another one is under way."""
        ...

    def begin_plain(self, project: int, backbone: str, at: float) -> FeatureSet:
        """A new version in state "live" for another backbone of the settings; the live one is retired."""
        ...

    def update(self, project: int, version: int, *, at: float, **fields: Any) -> FeatureSet:
        """Set any of: state, backbone, checkpoint, report, reason."""
        ...

    def note(self, project: int, version: int, *, at: float, **entries: Any) -> FeatureSet:
        """Set these entries of the report and leave its others, in one transaction: jobs of a version may overlap."""
        ...

    def make_live(self, project: int, version: int, at: float) -> None:
        """Switch the project to this version in one transaction: it becomes live, the one before retired.

        Project.features_version and backbone follow. Tasks keep their states.
        """
        ...

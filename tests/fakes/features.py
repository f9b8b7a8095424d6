"""Features in a dict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from backend.core.domain import FeatureBatch, FeatureTable, Guess, Guesses


@dataclass
class FakeFeatures:
    """Features in a dict."""

    stored: dict[tuple[int, int], dict[int, Any]] = field(default_factory=dict)
    guesses: dict[int, Guesses] = field(default_factory=dict)
    appended: list[int] = field(default_factory=list)
    loaded: int = 0  # how often whole tables were read
    meanwhile: Callable[[], object] | None = None  # what happens, once, while a whole table is read

    def append(self, project: int, version: int, batch: FeatureBatch) -> None:
        self.appended += batch.task_ids.tolist()
        self.stored.setdefault((project, version), {}).update(zip(batch.task_ids.tolist(), batch.vectors, strict=True))

    def present(self, project: int, version: int, task_ids: Sequence[int]) -> set[int]:
        return set(task_ids) & set(self.stored.get((project, version), {}))

    def ids(self, project: int, version: int) -> Any:
        return np.array(sorted(self.stored.get((project, version), {})), np.int64)

    def load(self, project: int, version: int) -> FeatureTable:
        self.loaded += 1
        if self.meanwhile is not None:
            happens, self.meanwhile = self.meanwhile, None
            happens()
        rows = sorted(self.stored.get((project, version), {}).items())
        ids = np.array([task for task, _ in rows], np.int64)
        return FeatureTable(ids, np.stack([v for _, v in rows]) if rows else np.zeros((0, 0), np.float16))

    def remove(self, project: int, version: int, task_ids: Sequence[int]) -> None:
        for task in task_ids:
            self.stored.get((project, version), {}).pop(task, None)

    def clear(self, project: int, version: int) -> None:
        self.stored.pop((project, version), None)

    def clear_guesses(self, project: int) -> None:
        self.guesses.pop(project, None)

    def optimize(self, project: int, version: int) -> None:
        return None

    def write_guesses(self, project: int, guesses: Guesses) -> None:
        self.guesses[project] = guesses

    def read_guesses(self, project: int, task_ids: Sequence[int]) -> dict[int, Guess]:
        kept = self.guesses.get(project)
        if kept is None:
            return {}
        place = {task: row for row, task in enumerate(kept.task_ids.tolist())}
        return {task: kept.at(place[task]) for task in task_ids if task in place}

"""Several images of one task become one vector: the mean of their directions, at their mean length.

Each vector is scaled to length 1 before the mean, so that no image counts more for being bright or busy; the mean is
scaled to the mean of the lengths, so that tasks of one and of several images can be compared. Of one image that is its
own vector, which is therefore left as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backend.core.domain import Embedded, Failed


class Page(NamedTuple):
    """One image of a task; `number` from 0."""

    task_id: int
    number: int


@dataclass(frozen=True, slots=True, eq=False)
class GoodPage:
    """An image's vector (d,) as the network gives it, finite in float16 too, and the digest of its bytes."""

    page: Page
    vector: NDArray[np.float32]
    digest: str


@dataclass(frozen=True, slots=True)
class BadPage:
    """An image that could not be embedded, with the reason in words; `unanswered`: Label Studio did not hand it out."""

    page: Page
    reason: str
    unanswered: bool = False


@dataclass(slots=True)
class _Task:
    pages: int
    good: list[GoodPage] = field(default_factory=list)
    bad: list[BadPage] = field(default_factory=list)


class Pool:
    """Takes tasks apart into images, and puts the results together. Holds the vectors of tasks that are under way."""

    def __init__(self) -> None:
        self._under_way: dict[int, _Task] = {}

    def split(self, items: Iterable[tuple[int, tuple[str, ...]]]) -> Iterator[tuple[Page, str]]:
        """Each image of each (task id, references); the tasks are distinct, the references not empty."""
        for task_id, refs in items:
            self._under_way[task_id] = _Task(len(refs))
            for number, ref in enumerate(refs):
                yield Page(task_id, number), ref

    def join(self, result: GoodPage | BadPage) -> Iterator[Embedded | Failed]:
        """The task's result, if this was its last image."""
        task = self._under_way[result.page.task_id]
        if isinstance(result, GoodPage):
            task.good.append(result)
        else:
            task.bad.append(result)
        if len(task.good) + len(task.bad) == task.pages:
            del self._under_way[result.page.task_id]
            yield _joined(result.page.task_id, task)


def _joined(task_id: int, task: _Task) -> Embedded | Failed:
    good = sorted(task.good, key=lambda item: item.page)
    silent = [item for item in task.bad if item.unanswered]
    if silent:  # a vector of the other images would stay, though this one may come a minute later
        return Failed(task_id, silent[0].reason, unanswered=True)
    if not good:
        return Failed(task_id, task.bad[0].reason if task.pages == 1 else _trouble(task))
    vector = pooled(np.stack([item.vector for item in good]))
    digest = good[0].digest
    if task.pages > 1:
        digest = hashlib.sha256("\n".join(item.digest for item in good).encode()).hexdigest()
    return Embedded(task_id, stored(vector), digest, _trouble(task) if task.bad else "")


def _trouble(task: _Task) -> str:
    """How many images could not be read, and why the first of them could not."""
    first = min(task.bad, key=lambda item: item.page)
    count = "none of its" if not task.good else f"{len(task.bad)} of its"
    end = " can be read" if not task.good else " could not be read"
    return f"{count} {task.pages} images{end}; image {first.page.number + 1}: {first.reason}"


def pooled(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """(p, d) -> (d,): the mean of the unit vectors times the mean length; a zero vector has no direction."""
    if len(vectors) == 1:
        return np.asarray(vectors[0])
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    units = vectors / np.maximum(lengths, 1e-12)[:, None]
    return np.asarray(units.mean(0) * lengths.mean(), np.float32)


def stored(vector: NDArray[np.float32]) -> NDArray[np.float16]:
    """As the feature store keeps it; what float16 cannot hold is infinite."""
    with np.errstate(over="ignore"):
        return vector.astype(np.float16)

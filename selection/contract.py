"""What every selector takes and gives: arrays in, arrays out.

`rows` always means rows of the pool that the caller handed in, never positions inside a subset.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, overload, runtime_checkable

import numpy as np
from numpy.typing import NDArray

UNLABELED = -1
"""Label of a row that nobody has seen: a candidate."""

SKIPPED = -2
"""Label of a row that a person saw and left without a class: never picked, yet it counts as covered."""

FloatArray = NDArray[np.floating]
IntArray = NDArray[np.int64]


class SelectionError(ValueError):
    """Root of the errors of this package; the text says what is wrong and what to do."""


class BadPool(SelectionError):
    """The arrays of a pool do not fit together or hold values no method can use."""


class BadVector(BadPool):
    """A feature or probability row cannot be used; `row` names the first one."""

    def __init__(self, row: int, what: str, fact: str = "is not finite") -> None:
        super().__init__(f"row {row} of {what} {fact}; fix it, or call selection.rank(), which sets bad rows aside")
        self.row = row


class BadParameter(SelectionError):
    """A hyper-parameter is unknown or out of its range."""


class UnknownSelector(SelectionError):
    """No selector of that name is registered."""


class MissingProbabilities(SelectionError):
    """The selector needs class probabilities and the pool has none."""


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """All items of a project, labeled or not.

    features : (n, d) float16, float32 or float64; may be read-only, memory-mapped or non-contiguous.
    labels : (n,) int64; the class, `UNLABELED` or `SKIPPED`.
    probs : (n, c) float, optional; class probabilities of each row, rows sum to 1.

    Raises `BadPool` if the shapes do not fit together.
    """

    features: FloatArray
    labels: IntArray
    probs: FloatArray | None = None

    def __post_init__(self) -> None:
        if self.features.ndim != 2 or not np.issubdtype(self.features.dtype, np.floating):
            raise BadPool(f"features must be an (n, d) float array, got {self.features.dtype} {self.features.shape}")
        n = len(self.features)
        if self.labels.shape != (n,) or self.labels.dtype != np.int64:
            raise BadPool(
                f"labels must be ({n},) int64 like the features' rows, got {self.labels.dtype} {self.labels.shape}"
            )
        if self.probs is not None and (self.probs.ndim != 2 or len(self.probs) != n):
            raise BadPool(f"probs must be ({n}, c) like the features' rows, got {self.probs.shape}")

    def __len__(self) -> int:
        return len(self.features)

    @property
    def candidates(self) -> IntArray:
        """Rows that may be picked, ascending."""
        return np.flatnonzero(self.labels == UNLABELED).astype(np.int64, copy=False)

    @property
    def covered(self) -> IntArray:
        """Rows that a person has seen (labeled or skipped), ascending."""
        return np.flatnonzero(self.labels != UNLABELED).astype(np.int64, copy=False)


class Notes(Sequence[str]):
    """Notes that are worded only when read: a ranking of a million rows costs no million sentences."""

    def __init__(self, count: int, say: Callable[[int], str]) -> None:
        self._count, self._say = count, say

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> list[str]: ...
    def __getitem__(self, at: int | slice) -> str | list[str]:
        if isinstance(at, slice):
            return [self._say(i) for i in range(*at.indices(self._count))]
        if not -self._count <= at < self._count:
            raise IndexError(at)
        return self._say(at % self._count)


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """Picks in the order in which they should be labeled.

    rows : (k,) int64, distinct candidates of the pool, best first; this order is authoritative.
    scores : (k,) float64, the method's own term for each pick (it explains, it does not order).
    notes : k short sentences for a person: why this row, in the method's terms.
    """

    rows: IntArray
    scores: NDArray[np.float64]
    notes: Sequence[str]

    def __post_init__(self) -> None:
        if not (self.rows.shape == self.scores.shape == (len(self.notes),)):
            raise SelectionError(
                f"rows {self.rows.shape}, scores {self.scores.shape} and {len(self.notes)} notes must be of one length"
            )

    def __len__(self) -> int:
        return len(self.rows)


@runtime_checkable
class Selector(Protocol):
    """A frozen dataclass of JSON-able hyper-parameters with one method; no state."""

    def select(self, pool: Pool, budget: int, rng: np.random.Generator) -> Ranking:
        """Pick exactly min(budget, len(pool.candidates)) rows; all randomness comes from `rng`."""
        ...


@runtime_checkable
class Sorts(Protocol):
    """An optional second method: may one call sort all candidates at no greater cost than a few picks?

    `selection.rank()` asks such a selector for the whole ranking at once; others get a head of `horizon` picks.
    """

    def sorts(self, pool: Pool) -> bool:
        """True if `select` on this pool is a sort of all candidates by a score of their own."""
        ...

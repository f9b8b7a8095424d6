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

LABELED = 0
"""Mark of a row of a pool of sets that a person has labeled, be it with no class at all."""

FloatArray = NDArray[np.floating]
BoolArray = NDArray[np.bool_]
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


class WrongForm(SelectionError):
    """One class a row where a set of classes is needed, or the reverse."""


@dataclass(frozen=True, slots=True, eq=False, init=False)
class Pool:
    """All items of a project, labeled or not: with one class an item (`labels`), or a set of classes (`present`).

    features : (n, d) float16, float32 or float64; may be read-only, memory-mapped or non-contiguous.
    labels : (n,) int64; the class, `UNLABELED` or `SKIPPED`. A pool of sets has none: reading it raises `WrongForm`.
    probs : (n, c) float, optional; class probabilities of each row. With `labels` rows sum to 1; with `present` each
        entry is the probability that the class is there, independent of the others.
    present : (n, c) bool, keyword only; the classes that people saw in a row, False in rows that are not labeled. A
        labeled row without any class is a valid negative.
    marks : (n,) int64, keyword only, goes with `present`: `LABELED`, `UNLABELED` or `SKIPPED`.

    Code that only asks which rows may be picked reads `candidates`, `covered` and `free`, which both forms have.
    Raises `BadPool` if the shapes do not fit together, if both forms or neither are given, or if a row has classes
    that is not labeled. Cost: one look at each entry of `present`.
    """

    features: FloatArray
    probs: FloatArray | None
    present: BoolArray | None
    marks: IntArray
    """(n,) int64 for both forms: `LABELED` (or, with `labels`, the class), `UNLABELED` or `SKIPPED`."""

    def __init__(
        self,
        features: FloatArray,
        labels: IntArray | None = None,
        probs: FloatArray | None = None,
        *,
        present: BoolArray | None = None,
        marks: IntArray | None = None,
    ) -> None:
        if features.ndim != 2 or not np.issubdtype(features.dtype, np.floating):
            raise BadPool(f"features must be an (n, d) float array, got {features.dtype} {features.shape}")
        n = len(features)
        if (labels is None) == (present is None) or (present is None) != (marks is None):
            raise BadPool("a pool has labels (one class a row), or present and marks (a set of classes a row)")
        name, rows = ("labels", labels) if labels is not None else ("marks", marks)
        assert rows is not None
        if rows.shape != (n,) or rows.dtype != np.int64:
            raise BadPool(f"{name} must be ({n},) int64 like the features' rows, got {rows.dtype} {rows.shape}")
        if probs is not None and (probs.ndim != 2 or len(probs) != n):
            raise BadPool(f"probs must be ({n}, c) like the features' rows, got {probs.shape}")
        if present is not None:
            _check_sets(present, rows, probs)
        for field, value in (("features", features), ("probs", probs), ("present", present), ("marks", rows)):
            object.__setattr__(self, field, value)

    def __len__(self) -> int:
        return len(self.features)

    @property
    def labels(self) -> IntArray:
        """(n,) int64, see the class; raises `WrongForm` for a pool of sets."""
        if self.present is not None:
            raise WrongForm(
                "this pool holds sets of classes: read present and marks, or candidates, covered and free; "
                "labels exist where each row has one class"
            )
        return self.marks

    @property
    def form(self) -> str:
        """ "one" or "set": what a label is."""
        return "one" if self.present is None else "set"

    @property
    def free(self) -> BoolArray:
        """(n,) bool: rows that may be picked; a new array."""
        return np.asarray(self.marks == UNLABELED)

    @property
    def candidates(self) -> IntArray:
        """Rows that may be picked, ascending."""
        return np.flatnonzero(self.marks == UNLABELED).astype(np.int64, copy=False)

    @property
    def covered(self) -> IntArray:
        """Rows that a person has seen (labeled or skipped), ascending."""
        return np.flatnonzero(self.marks != UNLABELED).astype(np.int64, copy=False)

    @property
    def positives(self) -> IntArray:
        """Labeled rows of each class, (c,) int64; c is the width of `present`, or one more than the highest label."""
        if self.present is not None:
            return np.asarray(self.present.sum(0, dtype=np.int64))
        return np.bincount(self.marks[self.marks >= 0]).astype(np.int64)

    def unlabeled(self) -> Pool:
        """The same pool before any label: every row is a candidate."""
        marks = np.full(len(self), UNLABELED, np.int64)
        if self.present is None:
            return Pool(self.features, marks, self.probs)
        return Pool(self.features, probs=self.probs, present=np.zeros_like(self.present), marks=marks)

    def take(self, rows: IntArray) -> Pool:
        """The pool of these rows, in this order: a copy, of either form."""
        return self._with(self.features[rows], self.marks[rows], rows)

    def skip(self, rows: IntArray) -> Pool:
        """The same pool with these rows `SKIPPED`, as if they were out for labeling; shares all other arrays."""
        marks = self.marks.copy()
        marks[rows] = SKIPPED
        if self.present is None or not self.present[rows].any():
            return self._with(self.features, marks, slice(None))
        present = self.present.copy()
        present[rows] = False
        return Pool(self.features, probs=self.probs, present=present, marks=marks)

    def _with(self, features: FloatArray, marks: IntArray, rows: IntArray | slice) -> Pool:
        probs = None if self.probs is None else self.probs[rows]
        if self.present is None:
            return Pool(features, marks, probs)
        return Pool(features, probs=probs, present=self.present[rows], marks=marks)


def _check_sets(present: BoolArray, marks: IntArray, probs: FloatArray | None) -> None:
    n = len(marks)
    if present.ndim != 2 or len(present) != n or present.dtype != np.bool_:
        raise BadPool(f"present must be ({n}, c) bool like the features' rows, got {present.dtype} {present.shape}")
    if len(marks) and not SKIPPED <= marks.min() <= marks.max() <= LABELED:
        raise BadPool(f"marks must be {LABELED} (labeled), {UNLABELED} or {SKIPPED}, got {np.unique(marks).tolist()}")
    if probs is not None and probs.shape != present.shape:
        raise BadPool(f"probs {probs.shape} must have a column a class like present {present.shape}")
    stray = np.flatnonzero((marks != LABELED) & present.any(1))
    if len(stray):
        raise BadPool(f"row {stray[0]} has classes in present but is not labeled; its row must be False")


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

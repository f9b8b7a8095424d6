"""Pools for the common checks, the subject under check, and what holds of every answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selection.contract import LABELED, UNLABELED, Pool, Ranking, Selector


class CheckFailed(AssertionError):
    """A selector broke the contract; the text says how."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The selector under check, and what its registration says of it."""

    name: str
    cls: type
    params: dict[str, Any]
    needs: frozenset[str]
    tags: frozenset[str]
    forms: frozenset[str] = frozenset({"one"})
    form: str = "one"

    def make(self, **changed: Any) -> Selector:
        made: Selector = self.cls(**{**self.params, **changed})
        return made

    def pool_of(self, n: int, *seen: int, d: int = 6) -> Pool:
        """A pool of n rows in the form under check, `seen` of them labeled, its arrays read-only."""
        return self.pool(features(n, d), seen, guesses(n, 3, self.form))

    def pool(self, rows: NDArray[Any], seen: Iterable[int] = (), probs: NDArray[Any] | None = None) -> Pool:
        """A pool of these features and guesses: labels 0, 1, 2, 0, ... or the sets {0}, {0, 1}, {}, {0}, ..."""
        arrays = [rows] if probs is None else [rows, probs]
        for array in arrays:
            array.flags.writeable = False
        marks = labels(len(rows), *seen)
        if self.form == "one":
            return Pool(rows, marks, probs)
        present = np.zeros((len(rows), 3 if probs is None else probs.shape[1]), bool)
        present[marks == 0, :1] = True
        present[marks == 1, :2] = True
        return Pool(rows, probs=probs, present=present, marks=np.minimum(marks, LABELED))

    def pick(self, pool: Pool, budget: int, seed: int = 0) -> Ranking:
        """Select, and check all that must hold of any answer."""
        ranking = self.make().select(pool, budget, np.random.default_rng(seed))
        expect_sound(ranking, pool, budget)
        return ranking


def expect(fact: bool, told: str) -> None:
    """Raise `CheckFailed` with `told` unless `fact`."""
    if not fact:
        raise CheckFailed(told)


def expect_sound(ranking: Ranking, pool: Pool, budget: int) -> None:
    """What holds of every answer: type, count, distinct candidates, finite scores, a note each."""
    n = len(pool)
    expect(isinstance(ranking, Ranking), f"select returned {type(ranking).__name__}, not Ranking")
    free = len(pool.candidates)
    wanted = min(budget, free)
    expect(len(ranking) == wanted, f"{len(ranking)} rows for budget {budget} of {free} candidates, n = {n}")
    expect(ranking.rows.dtype == np.int64, f"rows are {ranking.rows.dtype}, not int64")
    expect(ranking.scores.dtype == np.float64, f"scores are {ranking.scores.dtype}, not float64")
    expect(len(np.unique(ranking.rows)) == wanted, "a row is picked twice")
    expect(bool(np.isin(ranking.rows, pool.candidates).all()), "a labeled, skipped or unknown row is picked")
    expect(bool(np.isfinite(ranking.scores).all()), "a score is not finite")
    expect(all(isinstance(note, str) and note for note in ranking.notes), "a pick has no note")


def features(n: int, d: int = 6, seed: int = 7) -> NDArray[np.float32]:
    """(n, d) rows in four loose groups, all different; values that float16 holds exactly."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, d)) + 3.0 * np.eye(4, d)[np.arange(n) % 4]
    exact: NDArray[np.float32] = rows.astype(np.float16).astype(np.float32)
    return exact


def probabilities(n: int, c: int = 3, seed: int = 8) -> NDArray[np.float64]:
    """(n, c) class probabilities, all different."""
    return np.random.default_rng(seed).dirichlet(np.ones(c), size=n)


def guesses(n: int, c: int, form: str) -> NDArray[np.float64]:
    """Class probabilities, or for sets independent presences, (n, c), all different."""
    if form == "one":
        return probabilities(n, c)
    presences: NDArray[np.float64] = np.random.default_rng(8).uniform(size=(n, c))
    return presences


def labels(n: int, *seen: int) -> NDArray[np.int64]:
    """(n,) unlabeled, but `seen` rows have the classes 0, 1, 2, 0, ..."""
    out = np.full(n, UNLABELED, np.int64)
    out[list(seen)] = np.arange(len(seen)) % 3
    return out


def same(left: Ranking, right: Ranking) -> bool:
    """Equal rows in equal order."""
    return bool(np.array_equal(left.rows, right.rows))

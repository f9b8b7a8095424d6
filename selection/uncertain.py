"""The common part of the uncertainty methods: score, sort, and fall back where scores cannot tell rows apart."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from selection import parameters
from selection.contract import BadParameter, IntArray, Notes, Pool, Ranking, Selector
from selection.kernels.clean import require_probs
from selection.kernels.scores import Score, descending, quantised, score_rows
from selection.registry import create_for, entry


@dataclass(frozen=True)
class Uncertain:
    """Candidates by descending `score`.

    Scores are compared in steps of 1e-6; equal ones go to the lowest row. Where all candidates score the same (one
    class, or no evidence yet) the order of `fallback` is given instead of the order of rows. Labels matter only
    through `pool.probs` (and, for sets, as counts of positives where a score weighs classes by them). Cost
    O(n (c + log n)).

    fallback : name of the selector that serves then. device : where that one computes.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"probs"})
    tags: ClassVar[frozenset[str]] = frozenset({"uncertainty", "prefix", "permutation"})

    fallback: str = "graphcover"
    device: str = "cpu"

    def __post_init__(self) -> None:
        parameters.selector_name("fallback", self.fallback)
        parameters.device(self.device)

    @staticmethod
    @abstractmethod
    def score(probs: NDArray[np.float64]) -> NDArray[np.float64]:
        """(m, c) probabilities -> (m,), higher = more uncertain."""

    @staticmethod
    @abstractmethod
    def say(p: NDArray[np.float64]) -> str:
        """The reason for a pick with probabilities (c,)."""

    @staticmethod
    @abstractmethod
    def score_sets(probs: NDArray[np.float64], positives: IntArray) -> NDArray[np.float64]:
        """(m, c) presences -> (m,), higher = more uncertain; positives (c,) : labeled rows that show each class."""

    @staticmethod
    @abstractmethod
    def say_sets(p: NDArray[np.float64]) -> str:
        """The reason for a pick with presences (c,)."""

    def select(self, pool: Pool, budget: int, rng: np.random.Generator) -> Ranking:
        """Scores are those of the class's docstring."""
        probs = require_probs(pool, type(self).__name__)
        rows = pool.candidates
        scores = score_rows(probs, rows, self._score_of(pool))
        say = self.say if pool.form == "one" else self.say_sets
        if constant(scores):
            return _told(self._fallback().select(pool, budget, rng), type(self).__name__)
        order = descending(scores)[:budget]  # positions among the candidates
        picked, kept = rows[order], scores[order]
        return Ranking(picked, kept, Notes(len(picked), lambda i: say(probs[picked[i]].astype(np.float64))))

    def sorts(self, pool: Pool) -> bool:
        """True unless the fallback would serve."""
        if pool.probs is None:
            return False
        return not constant(score_rows(pool.probs, pool.candidates, self._score_of(pool)))

    def _score_of(self, pool: Pool) -> Score:
        if pool.form == "one":
            return self.score
        positives = pool.positives
        return lambda probs: self.score_sets(probs, positives)

    def _fallback(self) -> Selector:
        if "probs" in entry(self.fallback).needs:
            raise BadParameter(f"fallback must work without class probabilities, and {self.fallback} needs them")
        return create_for(self.fallback, self.device)


def constant(scores: NDArray[np.float64]) -> bool:
    """True if two or more scores are there and all are the same after rounding."""
    steps = quantised(scores)
    return len(steps) > 1 and bool((steps == steps[0]).all())


def _told(ranking: Ranking, name: str) -> Ranking:
    """Say in each note that the guesses could not tell the images apart."""
    inner = ranking.notes
    told = Notes(len(inner), lambda i: f"all guesses are equally sure, so not by {name.lower()}: {inner[i]}")
    return replace(ranking, notes=told)


def torn(p: NDArray[np.float64]) -> str:
    """The two likeliest classes in words."""
    if len(p) < 2:
        return f"only class 0 is known ({p[0]:.2f})"
    order = np.argsort(-p, kind="stable")
    first, second = int(order[0]), int(order[1])
    return f"torn between class {first} ({p[first]:.2f}) and class {second} ({p[second]:.2f})"


def unsure(p: NDArray[np.float64]) -> str:
    """The likeliest class in words."""
    best = int(p.argmax())
    return f"the best guess, class {best}, has only {p[best]:.2f}"


def spread(p: NDArray[np.float64]) -> str:
    """The likeliest classes in words, as many as hold most of the mass."""
    order = np.argsort(-p, kind="stable")[:3]
    named = ", ".join(f"class {int(c)} ({p[c]:.2f})" for c in order)
    return f"the guess is spread over {named}"


def torn_between_sets(p: NDArray[np.float64]) -> str:
    """The least sure class that is guessed to be there, and the likeliest that is not, in words."""
    there = p >= 0.5
    told = []
    if there.any():
        low = int(np.where(there, p, 2.0).argmin())
        told.append(f"class {low} may not be there ({p[low]:.2f})")
    if not there.all():
        high = int(np.where(there, -1.0, p).argmax())
        told.append(f"class {high} may be there ({p[high]:.2f})")
    return " and ".join(told) or "no class is known"


def unsure_of_set(p: NDArray[np.float64]) -> str:
    """How probable the likeliest set is, and which class is the most doubtful."""
    if not len(p):
        return "no class is known"
    doubt = int(np.abs(p - 0.5).argmin())
    whole = float(np.maximum(p, 1 - p).prod())
    return f"the best guess at all classes has only {whole:.2f}; class {doubt} is the most doubtful ({p[doubt]:.2f})"


def spread_over_sets(p: NDArray[np.float64]) -> str:
    """The most doubtful classes in words."""
    order = np.argsort(np.abs(p - 0.5), kind="stable")[:3]
    named = ", ".join(f"class {int(c)} ({p[c]:.2f})" for c in order)
    return f"in doubt about {named}" if named else "no class is known"

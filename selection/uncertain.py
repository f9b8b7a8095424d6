"""The common part of the uncertainty methods: score, sort, and fall back where scores cannot tell rows apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selection.contract import BadParameter, Notes, Pool, Ranking, Selector
from selection.kernels.clean import require_probs
from selection.kernels.scores import Score, descending, quantised, score_rows
from selection.registry import create_for, entry

Say = Callable[[NDArray[np.float64]], str]


def pick_uncertain(
    pool: Pool, budget: int, rng: np.random.Generator, *, score: Score, say: Say, method: Any
) -> Ranking:
    """Candidates by descending `score`; by `method.fallback` where all scores are equal. Cost O(n (c + log n))."""
    name = type(method).__name__
    probs = require_probs(pool, name)
    rows = pool.candidates
    scores = score_rows(probs, rows, score)
    if constant(scores):
        return replace_notes(_fallback(method).select(pool, budget, rng), name)
    order = descending(scores)[:budget]  # positions among the candidates
    picked, kept = rows[order], scores[order]
    return Ranking(picked, kept, Notes(len(picked), lambda i: say(probs[picked[i]].astype(np.float64))))


def _fallback(method: Any) -> Selector:
    if "probs" in entry(method.fallback).needs:
        raise BadParameter(f"fallback must work without class probabilities, and {method.fallback} needs them")
    return create_for(method.fallback, method.device)


def can_sort(pool: Pool, score: Score) -> bool:
    """True if the pool's probabilities tell its candidates apart by `score`."""
    if pool.probs is None:
        return False
    return not constant(score_rows(pool.probs, pool.candidates, score))


def constant(scores: NDArray[np.float64]) -> bool:
    """True if two or more scores are there and all are the same after rounding."""
    steps = quantised(scores)
    return len(steps) > 1 and bool((steps == steps[0]).all())


def replace_notes(ranking: Ranking, name: str) -> Ranking:
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

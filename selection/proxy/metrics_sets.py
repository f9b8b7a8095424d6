"""How good presences are: average precision and F1 of each class, their means with intervals, exact sets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selection.contract import BoolArray

Float64 = NDArray[np.float64]

DRAWS = 100
LEVEL = 0.95
MOST_JUDGED = 2000
"""Rows that the bootstrap looks at: evenly spread ones of more."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over the judged classes with its 95% interval; None and 0..1 where no class could be judged."""

    value: float | None
    low: float
    high: float


@dataclass(frozen=True, slots=True, eq=False)
class SetMetrics:
    """Presences against what is there, on rows that neither trained nor chose the head.

    average_precision, f1 : (c,) float64, NaN for a class that these rows do not show both ways: without a positive
        neither is defined, without a negative every order is perfect. Such classes are left out of the means.
    mean_average_precision, macro_f1 : means over judged classes. exact, exact_of : rows whose set is right, of how
        many. judged : number of classes judged; positives (c,) : rows that show each class.
    """

    average_precision: Float64
    f1: Float64
    mean_average_precision: Interval
    macro_f1: Interval
    exact: int
    exact_of: int
    judged: int
    positives: NDArray[np.int64]


def average_precision(scores: NDArray[np.floating], present: BoolArray, weights: Float64 | None = None) -> float:
    """Mean precision at the positives of one class, best score first: (m,), (m,) -> [0, 1]; NaN without a positive.

    Equal scores are one step, as in scikit-learn: sum over steps of (gain in recall) x precision. weights (m,) : how
    often each row counts. Cost m log m.
    """
    w = np.ones(len(scores)) if weights is None else weights
    hits, seen, last = _steps(scores, present)
    return float(_of_steps(w[None, hits.order], hits.there, last)[0]) if seen else float("nan")


@dataclass(frozen=True, slots=True, eq=False)
class _Order:
    order: NDArray[np.int64]
    there: BoolArray


def _steps(scores: NDArray[np.floating], present: BoolArray) -> tuple[_Order, int, NDArray[np.int64]]:
    """The order from the best score, whether any row is positive, and the last place of each run of equal scores."""
    order = np.argsort(-scores, kind="stable").astype(np.int64)
    falling = scores[order]
    last = np.flatnonzero(np.append(falling[1:] != falling[:-1], len(falling) > 0)).astype(np.int64)
    return _Order(order, present[order]), int(present.sum()), last


def _of_steps(weights: Float64, there: BoolArray, last: NDArray[np.int64]) -> Float64:
    """Average precision under each row of weights (b, m) in order: (b,); NaN where no positive has weight."""
    hits = np.cumsum(np.where(there, weights, 0.0), axis=1)[:, last]  # (b, m) -> (b, steps)
    seen = np.cumsum(weights, axis=1)[:, last]
    gain = np.diff(hits, axis=1, prepend=0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(
            (gain * hits / np.maximum(seen, 1e-12)).sum(1) / np.where(hits[:, -1] > 0, hits[:, -1], np.nan)
        )


def judge_sets(
    probs: NDArray[np.floating], present: BoolArray, cut: NDArray[np.floating], *, seed: int = 0, draws: int = DRAWS
) -> SetMetrics:
    """Judge presences (m, c) of rows whose classes (m, c) are known; cut (c,) : thresholds, chosen elsewhere.

    An entry that is NaN was not held out and does not count: a class is judged on the rows where it was. Intervals:
    percentiles of `draws` bootstrap draws of rows, seeded; a class that a draw does not show is left out of that
    draw's mean. They are for one look at one head; with fewer than some 30 positives in all they are too narrow. Cost
    draws min(m, 2000) c.
    """
    m, c = present.shape
    known = ~np.isnan(probs)
    guess = np.where(known, probs, 0.0) >= cut
    there = known & present
    positives = there.sum(0)
    judged = np.flatnonzero((positives > 0) & (known & ~present).any(0))
    rng = np.random.default_rng(seed)
    few = np.linspace(0, m - 1, min(m, MOST_JUDGED)).astype(np.int64) if m else np.empty(0, np.int64)
    drawn: Float64 = np.zeros((draws, 0))
    if len(few):
        drawn = rng.multinomial(len(few), np.full(len(few), 1 / len(few)), draws).astype(np.float64)  # (b, few)
    precision, f1 = np.full(c, np.nan), np.full(c, np.nan)
    again_ap, again_f1 = np.full((draws, len(judged)), np.nan), np.full((draws, len(judged)), np.nan)
    for at, k in enumerate(judged):
        mine = np.flatnonzero(known[:, k])
        precision[k] = average_precision(probs[mine, k], present[mine, k])
        f1[k] = _f1((guess & there)[:, k].sum(), (guess & known)[:, k].sum(), positives[k])
        mine = np.flatnonzero(known[few, k])
        rows = few[mine]
        ordered, seen, last = _steps(probs[rows, k], present[rows, k])
        weights = drawn[:, mine]
        if seen:
            again_ap[:, at] = _of_steps(weights[:, ordered.order], ordered.there, last)
            again_f1[:, at] = _f1(
                weights @ (guess[rows, k] & present[rows, k]), weights @ guess[rows, k], weights @ present[rows, k]
            )
    whole = known.all(1)
    exact = int((guess == present)[whole].all(1).sum())
    return SetMetrics(
        precision, f1, _interval(precision, again_ap), _interval(f1, again_f1), exact, int(whole.sum()), len(judged),
        positives.astype(np.int64),
    )  # fmt: skip


def _f1(hits: NDArray[np.floating], called: NDArray[np.floating], there: NDArray[np.floating]) -> Float64:
    """2 hits / (called + there); NaN where nothing is there."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(there > 0, 2 * hits / np.maximum(called + there, 1e-12), np.nan))


def _interval(of_classes: Float64, again: Float64) -> Interval:
    known = of_classes[~np.isnan(of_classes)]
    if not len(known):
        return Interval(None, 0.0, 1.0)
    shown = ~np.isnan(again)
    means = np.where(shown, again, 0.0).sum(1)[shown.any(1)] / shown.sum(1)[shown.any(1)]
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(means, [tail, 1 - tail]) if len(means) else (0.0, 1.0)
    value = float(known.mean())
    return Interval(value, min(float(low), value), max(float(high), value))

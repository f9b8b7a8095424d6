"""The audit of a head for sets: presences judged on rows that were drawn at random and never trained it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selection.contract import BoolArray
from selection.proxy.anytime import interval
from selection.proxy.metrics_sets import SetMetrics, judge_sets


@dataclass(frozen=True, slots=True, eq=False)
class SetAudit:
    """metrics : mean average precision and macro F1 with bootstrap intervals, which are for one look at one head.

    exact, low, high : share of rows whose whole set is right, and its interval that holds at every look; None and 0..1
    while nothing was audited. labels : audited rows; population : tasks that they stand for.
    """

    metrics: SetMetrics
    exact: float | None
    low: float
    high: float
    labels: int
    population: int


def audit_sets(
    probs: NDArray[np.floating],
    present: BoolArray,
    cut: NDArray[np.floating],
    *,
    population: int,
    alpha: float = 0.05,
    seed: int = 0,
) -> SetAudit:
    """Judge presences (m, c) of the labeled audit rows, whose classes are (m, c); cut (c,) : the head's thresholds.

    population : tasks that the audit stands for, at least m. alpha : what this head may spend (`anytime.share`): the
    exact-set interval holds for all heads and looks together, as the one of accuracy does for one class a row. Mean
    average precision and macro F1 are not means over rows, so that form does not exist for them; say so beside them.
    How the backend calls it: with the audit rows of `probs` and of `Pool.present`, where backend/core/learning/audit.py
    judges one class a row. Cost that of `judge_sets`.
    """
    metrics = judge_sets(probs, present, cut, seed=seed)
    m = len(present)
    stands_for = max(population, m)
    low, high = interval(metrics.exact, m, stands_for, alpha)
    return SetAudit(metrics, metrics.exact / m if m else None, low, high, m, stands_for)

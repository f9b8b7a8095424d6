"""How much to trust each head: weights of a logarithmic opinion pool, by held-out labels and a prior."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from selection.contract import IntArray

Float64 = NDArray[np.float64]

GRID = 10
STRENGTH = 50.0
MOST_JUDGED = 2000
LOG_FLOOR = np.log(1e-4)

PRIOR_LABELS = (1.0, 5.0, 25.0, 100.0, 500.0)
PRIOR_WEIGHTS: Mapping[str, tuple[float, ...]] = {
    "linear": (0.0, 0.0, 0.0, 0.4, 0.7),
    "spread": (1.0, 0.95, 0.3, 0.1, 0.0),
    "smooth": (0.0, 0.05, 0.7, 0.5, 0.3),
}
"""The heads that `auto` pools, and where their weights start from by labels a class: neighbours while labels are few,
the features themselves when there are many."""


def prior_weights(kinds: Sequence[str], labels_a_class: float) -> Float64:
    """Weights (k,) summing to 1 before any evidence; interpolated in the logarithm of labels a class."""
    at = np.log(max(labels_a_class, 1.0))
    raw = np.array([np.interp(at, np.log(PRIOR_LABELS), PRIOR_WEIGHTS[kind]) for kind in kinds])
    out: Float64 = raw / raw.sum() if raw.sum() > 0 else np.full(len(kinds), 1 / len(kinds))
    return out


def blend_weights(out_of_fold: Sequence[Float64], labels: IntArray, prior: Float64) -> Float64:
    """Posterior mean of the weights (k,) on a grid of the simplex.

    out_of_fold : k arrays (m, c) of held-out log probabilities; labels (m,).
    The likelihood of a grid point is that of the held-out labels under the pooled probabilities, the prior a bell
    around `prior`. A mean, not the best point: a few labels cannot make the weights jump. At most 2,000
    labels are looked at, evenly spread. Cost m c k for each of 66 points (three heads).
    """
    k = len(prior)
    points = simplex(k)
    score = -STRENGTH / 2 * ((points - prior) ** 2).sum(axis=1)
    if len(labels):
        part = np.linspace(0, len(labels) - 1, min(len(labels), MOST_JUDGED)).astype(np.int64)
        stack = np.stack([np.maximum(view[part], LOG_FLOOR) for view in out_of_fold])  # (k, m, c)
        own = stack[:, np.arange(len(part)), labels[part]]  # (k, m)
        for i, point in enumerate(points):
            mixed = np.tensordot(point, stack, 1)  # (m, c)
            score[i] += (point @ own - np.log(np.exp(mixed).sum(axis=1))).sum() * len(labels) / len(part)
    belief = np.exp(score - score.max())
    out: Float64 = belief @ points / belief.sum()
    return out


def pool_logs(views: Sequence[NDArray[np.floating]], weights: Float64) -> Float64:
    """Weighted sum of log probabilities (n, c), -inf where every view says 0 (a class without labels)."""
    total = np.zeros(views[0].shape)
    for weight, view in zip(weights, views, strict=True):
        total += weight * np.maximum(view, LOG_FLOOR)
    return np.where(np.isneginf(np.stack(views)).all(axis=0), -np.inf, total)


@cache
def simplex(k: int) -> Float64:
    """All points with coordinates in steps of 1 / GRID that sum to 1, (points, k)."""
    grid = np.indices((GRID + 1,) * k).reshape(k, -1).T
    out: Float64 = grid[grid.sum(axis=1) == GRID] / GRID
    return out

"""Uncertainty scores of class probabilities, higher = more uncertain, and the order they give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selection.contract import IntArray
from selection.kernels.blocks import block_rows, blocks

QUANTUM = 1e-6
"""Scores are compared in steps of this size, so that rounding on another machine does not reorder a queue."""

Score = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def least_confidence(probs: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 - max_k p_k: (n, c) -> (n,)."""
    return np.asarray(1.0 - probs.max(1))


def small_margin(probs: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 - (p_(1) - p_(2)): (n, c) -> (n,); 0 where there is one class, whose margin is 1."""
    if probs.shape[1] < 2:
        return np.zeros(len(probs))
    top = np.partition(probs, -2, axis=1)[:, -2:]  # (n, c) -> (n, 2)
    return np.asarray(1.0 - (top[:, 1] - top[:, 0]))


def entropy(probs: NDArray[np.float64]) -> NDArray[np.float64]:
    """-sum_k p_k ln p_k in nats, with 0 ln 0 = 0: (n, c) -> (n,)."""
    logs = np.log(np.where(probs > 0, probs, 1.0))
    return np.asarray(-(probs * logs).sum(1))


def least_confidence_of_sets(probs: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 - prod_k max(p_k, 1 - p_k): one less the probability of the likeliest set, presences (n, c) -> (n,)."""
    return np.asarray(1.0 - np.maximum(probs, 1.0 - probs).prod(1))


def small_margin_of_sets(probs: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 - gap between the least sure class at or above 1/2 and the likeliest below it: presences (n, c) -> (n,).

    A row without a class at or above 1/2 has 1 for the one, a row without a class below it 0 for the other, so that
    one class alone counts by its own doubt. In [0, 1].
    """
    there = probs >= 0.5
    low = np.where(there, probs, 1.0).min(1, initial=1.0)
    high = np.where(there, 0.0, probs).max(1, initial=0.0)
    return np.asarray(1.0 - (low - high))


def entropy_of_sets(probs: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """sum_k w_k H(p_k) in nats, H(p) = -p ln p - (1 - p) ln(1 - p), 0 ln 0 = 0: presences (n, c), (c,) -> (n,)."""
    both = np.stack([probs, 1.0 - probs])
    logs = np.log(np.where(both > 0, both, 1.0))
    return np.asarray(-((both * logs).sum(0) @ weights))


def score_rows(probs: NDArray[Any], rows: IntArray, score: Score) -> NDArray[np.float64]:
    """`score` of some rows, in float64, block by block: (n, c), (m,) -> (m,)."""
    out = np.empty(len(rows))
    for part in blocks(len(rows), block_rows(32 * max(1, probs.shape[1]))):
        out[part] = score(probs[rows[part]].astype(np.float64))
    return out


def quantised(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores rounded to `QUANTUM`, -0.0 made 0.0."""
    return np.round(scores / QUANTUM) + 0.0


def descending(scores: NDArray[np.float64]) -> IntArray:
    """Positions from the highest score to the lowest; equal after rounding: the earlier position first."""
    return np.argsort(-quantised(scores), kind="stable").astype(np.int64, copy=False)

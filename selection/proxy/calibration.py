"""How good and how honest are a head's probabilities: folds, temperature, intervals, calibration error.

Everything here judges predictions that were made without the label they are compared with.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selection.contract import BadParameter, IntArray

Float64 = NDArray[np.float64]

NO_FOLD = -1
"""Fold of a label that is never held out, because its class has no other label."""

LOG_RANGE = (float(np.log(0.05)), float(np.log(20.0)))
GOLDEN = (5**0.5 - 1) / 2
SECTIONS = 16  # leaves T known to 0.2%


@dataclass(frozen=True, slots=True)
class Confusion:
    """`count` labels of class `true` were predicted as class `predicted` out of fold."""

    true: int
    predicted: int
    count: int


def stratified_folds(labels: IntArray, n_folds: int, rng: np.random.Generator) -> IntArray:
    """Spread each class evenly over the folds: (m,) labels -> (m,) fold, 0..n_folds-1 or `NO_FOLD`.

    A class with one label gets `NO_FOLD`: held out, it would be unknown to the head that is asked about it.
    """
    if n_folds < 2:
        raise BadParameter(f"n_folds must be at least 2, got {n_folds}")
    folds = np.full(len(labels), NO_FOLD, np.int64)
    start = 0
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        if len(rows) > 1:
            folds[rows] = (start + np.arange(len(rows))) % n_folds
            start += len(rows)  # the next class goes on where this one ended: folds stay of one size
    return folds


def softmax(logits: Float64) -> Float64:
    """Rows of logits (m, c) to probabilities; -inf gives exactly 0."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    out: Float64 = shifted / shifted.sum(axis=1, keepdims=True)
    return out


def log_softmax(logits: NDArray[np.floating]) -> Float64:
    """Rows of logits (m, c) to log probabilities; rows with NaN (labels that were never held out) stay NaN."""
    from scipy.special import log_softmax as of_rows

    out: Float64 = np.full(logits.shape, np.nan)
    known = ~np.isnan(logits).any(axis=1)
    if known.any():
        out[known] = of_rows(logits[known], axis=1)
    return out


def log_loss(probs: Float64, labels: IntArray) -> float:
    """Mean of -ln p(true class), p floored at 1e-12; 0.0 for no rows."""
    if len(labels) == 0:
        return 0.0
    return float(-np.log(np.maximum(probs[np.arange(len(labels)), labels], 1e-12)).mean())


def fit_temperature(logits: Float64, labels: IntArray, *, strength: float = 2.0) -> tuple[float, float]:
    """The temperature T that makes softmax(logits / T) fit the labels best, and its log loss.

    logits (m, c), labels (m,). Guo et al., "On Calibration of Modern Neural Networks", ICML 2017. We differ: a
    weak prior on ln T (normal, mean 0, worth `strength` labels at one e-fold) keeps T near 1 while labels are few.
    Golden section on ln T, in which the loss has one valley; cost O(m c) times 19.
    """
    m = len(labels)
    if m == 0:
        return 1.0, 0.0
    own = logits[np.arange(m), labels]

    def penalised(log_t: float) -> float:
        scaled = logits / np.exp(log_t)
        top = scaled.max(axis=1)
        loss = np.log(np.exp(scaled - top[:, None]).sum(axis=1)) + top - own / np.exp(log_t)
        return float(loss.sum() + strength * log_t**2 / 2)

    low, high = LOG_RANGE
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_left, at_right = penalised(left), penalised(right)
    for _ in range(SECTIONS):
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - GOLDEN * (high - low)
            at_left = penalised(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + GOLDEN * (high - low)
            at_right = penalised(right)
    best = (low + high) / 2
    loss = (penalised(best) - strength * best**2 / 2) / m
    return float(np.exp(best)), loss


def wilson(hits: int, trials: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson, JASA 1927); (0, 1) when nothing was tried."""
    if trials == 0:
        return 0.0, 1.0
    share = hits / trials
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z * np.sqrt(share * (1 - share) / trials + z * z / (4 * trials**2)) / (1 + z * z / trials)
    return float(max(0.0, centre - half)), float(min(1.0, centre + half))


def expected_calibration_error(probs: Float64, labels: IntArray, *, bins: int = 10) -> float:
    """Mean gap between confidence and accuracy over bins of confidence, weighted by their size.

    Bins hold equally many rows, at most `bins` of at least 10: with equal widths, few labels leave bins of one
    row, whose gap is noise. 0.0 for no rows.
    """
    m = len(labels)
    if m == 0:
        return 0.0
    confidence = probs.max(axis=1)
    right = probs.argmax(axis=1) == labels
    order = np.argsort(confidence, kind="stable")
    parts = np.array_split(order, max(1, min(bins, m // 10)))
    gaps = [abs(float(confidence[part].mean() - right[part].mean())) * len(part) for part in parts]
    return sum(gaps) / m


def recall_per_class(predicted: IntArray, labels: IntArray, n_classes: int) -> Float64:
    """Share of each class's labels that were predicted right, (c,); NaN for a class without any."""
    total = np.bincount(labels, minlength=n_classes).astype(np.float64)
    hits = np.bincount(labels[predicted == labels], minlength=n_classes)
    out: Float64 = np.divide(hits, total, out=np.full(n_classes, np.nan), where=total > 0)
    return out


def confusion_pairs(predicted: IntArray, labels: IntArray, *, top: int = 20) -> tuple[Confusion, ...]:
    """The most frequent mistakes, most first; ties by class number."""
    wrong = predicted != labels
    pairs, counts = np.unique(np.stack([labels[wrong], predicted[wrong]], axis=1), axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:top]
    return tuple(Confusion(int(pairs[i, 0]), int(pairs[i, 1]), int(counts[i])) for i in order)

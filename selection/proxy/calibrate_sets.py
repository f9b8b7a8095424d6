"""Calibration of presences class by class, and the thresholds that follow: few labels share, many speak for themselves.

Everything here is fitted to logits of labels that were held out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selection.contract import BoolArray

Float64 = NDArray[np.float64]

SPREAD_OF_SLOPES = 0.3
"""Prior standard deviation of a class's slope, as a share of the slope that all classes share."""
SPREAD_OF_SHIFTS = 0.3
"""Prior standard deviation of a class's shift, in logits."""
NEWTON_STEPS = 12
RANGE = (0.05, 20.0)  # of slopes


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """Calibrated logits = slope * logits + shift, (c,) each."""

    slope: Float64
    shift: Float64

    def apply(self, logits: NDArray[np.floating]) -> Float64:
        """(n, c) -> (n, c); NaN stays NaN."""
        out: Float64 = logits * self.slope + self.shift
        return out


def log_loss_of_sets(logits: NDArray[np.floating], present: BoolArray) -> Float64:
    """-ln of the probability of what is there, entry by entry: (m, c) -> (m, c) nats; NaN stays NaN."""
    out: Float64 = np.logaddexp(0.0, np.where(present, -logits, logits))
    return out


def fit_scaling(out_of_fold: Float64, present: BoolArray) -> Scaling:
    """Platt's scaling of each class, shrunk to one slope for all classes and no shift.

    out_of_fold (m, c) logits, NaN where not held out; present (m, c).
    Platt, "Probabilistic outputs for support vector machines", 1999. We differ: a class's slope has a normal prior
    around the slope that fits all classes together (itself around 1, worth two labels at one e-fold), its shift one
    around 0, so that a class with few labels moves little and one without a held-out positive or negative not at all.
    Cost 12 Newton steps of m c, each class on its own.
    """
    known = ~np.isnan(out_of_fold)
    z = np.where(known, out_of_fold, 0.0)
    judged = known & ((known & present).any(0) & (known & ~present).any(0))
    c = present.shape[1]
    slope: Float64 = np.ones(c)
    shift: Float64 = np.zeros(c)
    if not judged.any():
        return Scaling(slope, shift)
    shared = _shared_slope(z[judged], present[judged])
    slope *= shared
    sharp, flat = 1 / (SPREAD_OF_SLOPES * shared) ** 2, 1 / SPREAD_OF_SHIFTS**2

    def loss(a: Float64, b: Float64) -> Float64:
        told = np.where(judged, log_loss_of_sets(z * a + b, present), 0.0).sum(0)
        out: Float64 = told + sharp * (a - shared) ** 2 / 2 + flat * b**2 / 2
        return out

    now = loss(slope, shift)
    for _ in range(NEWTON_STEPS):
        p = 1 / (1 + np.exp(-np.clip(z * slope + shift, -60, 60)))
        r, w = np.where(judged, p - present, 0.0), np.where(judged, p * (1 - p), 0.0)
        ga, gb = (r * z).sum(0) + sharp * (slope - shared), r.sum(0) + flat * shift
        haa, hab, hbb = (w * z * z).sum(0) + sharp, (w * z).sum(0), w.sum(0) + flat
        det = haa * hbb - hab**2
        da, db = (hbb * ga - hab * gb) / det, (haa * gb - hab * ga) / det
        step = np.ones(c)
        for _ in range(10):  # each class halves its own step until it gains
            a = np.asarray(np.clip(slope - step * da, *RANGE), np.float64)
            after = loss(a, shift - step * db)
            worse = after > now
            if not worse.any():
                break
            step[worse] /= 2
        better = after <= now
        moved = float(np.abs(now - after)[better].max(initial=0.0))
        slope, shift = np.where(better, a, slope), np.where(better, shift - step * db, shift)
        now = np.where(better, after, now)
        if moved < 1e-6:
            break
    return Scaling(slope, shift)


def _shared_slope(z: Float64, present: BoolArray) -> float:
    """One slope for all entries (k,): a grid of e-folds in steps of 0.02, the loss has one valley."""
    logs = np.arange(np.log(RANGE[0]), np.log(RANGE[1]), 0.02)

    def told(log_slope: float) -> float:
        return float(log_loss_of_sets(z * np.exp(log_slope), present).sum() + log_slope**2)

    low, high = 0, len(logs) - 1
    while low < high:
        middle = (low + high) // 2
        if told(logs[middle]) <= told(logs[middle + 1]):
            high = middle
        else:
            low = middle + 1
    return float(np.exp(logs[low]))


def thresholds(probs: Float64) -> Float64:
    """The cut-off of each class from which calling it present gives the best expected F1: (m, c) -> (c,) in (0, 1/2].

    Lipton et al., "Optimal thresholding of classifiers to maximize F1 measure", ECML 2014: with calibrated presences
    the best cut-off is half the best F1. We expect F1 from the presences themselves, 2 sum_{i<=j} p_i / (j + sum p) for
    the j likeliest rows, as fitting it to a few labels would fit their noise. NaN (not held out) is left
    out, 1/2 for a class with nothing else.
    Cost m log m a class.
    """
    m, c = probs.shape
    out = np.full(c, 0.5)
    known = np.flatnonzero(~np.isnan(probs).all(0)) if m else np.empty(0, np.int64)
    falling = -np.sort(-np.nan_to_num(probs[:, known]), axis=0)  # rows not judged come last, with nothing to gain
    if len(known):
        f1 = 2 * np.cumsum(falling, 0) / (np.arange(1, m + 1)[:, None] + falling.sum(0))
        out[known] = f1.max(0) / 2
    return out


def suggestions(probs: NDArray[np.floating], cut: Float64) -> BoolArray:
    """What to tick in the editor: presences (n, c) of at least max(threshold, 1/2), thresholds (c,).

    A cut-off for F1 is at most 1/2 and ticks rare classes wrongly more often than rightly, which a person must undo;
    so a suggestion must be likelier than not.
    """
    return np.asarray(probs >= np.maximum(cut, 0.5))

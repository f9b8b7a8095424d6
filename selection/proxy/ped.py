"""PED: what fine-tuning would do to class clouds, imitated by pushing overlapping ones apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from selection.contract import BadParameter, FloatArray, IntArray
from selection.proxy.logme import logme

Float64 = NDArray[np.float64]

SMALLEST_SCALE = 1e-3
MAX_STEPS = 6
STOP_SHARE = 0.5
RATE = 0.5 * 0.1**2
"""Share of an overlap that one step takes away: half the square of the published time step."""


def push_apart(features: FloatArray, labels: IntArray, mean: Float64, scale: Float64, *, reach: float = 0.6) -> Float64:
    """Shift each class as a whole, away from every class whose ball it overlaps; returns (n, d) float64.

    features (n, d), labels (n,) of labeled rows; mean, scale (d,) of the pool (`selection.proxy.heads.linear.moments`).
    A class's ball has radius `reach` times the root of its summed variance; the overlap of two balls drives both
    apart along the line of their means. At most six steps, fewer once the shifts have halved.

    Li et al., "Exploring Model Transferability through the Lens of Potential Energy", ICCV 2023. We differ: pair
    terms are two c x c products, never c x c x d; classes with one mean stay (they have no direction); the
    standardising set is the pool. Raises `BadParameter` for reach <= 0. Cost O(n d + c^2 d) a step.
    """
    if not reach > 0:
        raise BadParameter(f"reach must be positive, got {reach}")
    scale = np.maximum(scale, SMALLEST_SCALE)
    standard = (np.asarray(features, np.float64) - mean) / scale
    classes, compact = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        return standard * scale + mean
    counts = np.bincount(compact)[:, None]
    sums = np.zeros((len(classes), standard.shape[1]))
    np.add.at(sums, compact, standard)
    means = sums / counts
    scatter = np.bincount(compact, ((standard - means[compact]) ** 2).sum(axis=1)) / counts[:, 0]
    radius = reach * np.sqrt(scatter)  # rigid shifts leave it as it is

    total, first = np.zeros_like(means), 0.0
    for step in range(MAX_STEPS):
        shift = _shift(means + total, radius)
        size = float(np.linalg.norm(shift, axis=1).sum())
        first = first if step else size
        total += shift
        if size <= STOP_SHARE * first:
            break
    return (standard + total[compact]) * scale + mean


def _shift(means: Float64, radius: Float64) -> Float64:
    """One step for each class mean, (c, d): over the others, the sum of RATE * overlap along the line away."""
    norms = (means**2).sum(axis=1)
    distance = np.sqrt(np.maximum(norms[:, None] + norms - 2 * means @ means.T, 0))  # (c, c)
    apart = distance > 1e-6 * np.sqrt(norms.max() + 1e-300)
    overlap = np.maximum(radius[:, None] + radius - distance, 0)
    np.fill_diagonal(overlap, 0)
    pull = np.divide(RATE * overlap, distance, out=np.zeros_like(distance), where=apart)
    # sum over c' of pull * (mean_c - mean_c')
    out: Float64 = pull.sum(axis=1, keepdims=True) * means - pull @ means
    return out


def logme_ped(
    features: FloatArray, labels: IntArray, mean: Float64, scale: Float64, *, reach: float = 0.6
) -> float | None:
    """LogME of the features after `push_apart`; minus `logme`, the head-room that fine-tuning has. None as `logme`."""
    return logme(push_apart(features, labels, mean, scale, reach=reach), labels)

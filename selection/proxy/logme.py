"""LogME: how well fixed features explain labels, without training a head."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from selection.contract import FloatArray, IntArray

Float64 = NDArray[np.float64]

STEPS = 11
TOLERANCE = 1e-3
FLOOR = 1e-5


def logme(features: FloatArray, labels: IntArray) -> float | None:
    """Mean over the classes of the maximised log evidence per label of a Bayesian linear regression on one-vs-rest.

    features (n, d), labels (n,), labeled rows only. Higher is better; comparable between features of the same
    labels. None when it says nothing: one class, less than two labels a class on
    average, or features that are all 0.

    You et al., "LogME", ICML 2021, with the fixed point of its extension. We differ from the published code twice:
    the prior's determinant has as many factors as the features have rank (the code's d factors inflate the value
    wherever n < d), and classes without labels are left out (they would add a large constant).
    float64; cost O(n d min(n, d)) and O(min(n, d) c) a step for all classes at once.
    """
    classes, compact = np.unique(labels, return_inverse=True)
    n, c = len(labels), len(classes)
    if c < 2 or n < 2 * c:
        return None
    targets = np.zeros((n, c))
    targets[np.arange(n), compact] = 1
    sigma, z2 = _spectrum(np.asarray(features, np.float64), targets)
    if len(sigma) == 0:
        return None
    return float(_evidence(sigma, z2, targets.sum(axis=0), n).mean())


def _spectrum(features: Float64, targets: Float64) -> tuple[Float64, Float64]:
    """Squared singular values (k,) and squared projections of the targets on the left vectors (k, c)."""
    n, d = features.shape
    wide = n <= d
    gram = features @ features.T if wide else features.T @ features
    sigma, vectors = np.linalg.eigh(gram)
    keep = sigma > max(sigma[-1], 1e-300) * max(n, d) * np.finfo(np.float64).eps
    sigma = sigma[keep]
    z = vectors[:, keep].T @ targets if wide else vectors[:, keep].T @ (features.T @ targets)
    return sigma, z**2 if wide else z**2 / sigma[:, None]


def _evidence(sigma: Float64, z2: Float64, y2: Float64, n: int) -> Float64:
    """Maximised log evidence per label of each class, (c,); y2 (c,) is the squared norm of each target."""
    s, k, c = sigma[:, None], len(sigma), len(y2)
    rest = np.maximum(y2 - z2.sum(axis=0), 0)  # (c,) what no direction explains
    t: Float64 = np.ones(c)
    out: Float64 = np.zeros(c)
    open_ = np.ones(c, bool)
    for _ in range(STEPS):
        gamma = (s / (s + t)).sum(axis=0)
        m2 = (s * z2 / (t + s) ** 2).sum(axis=0)
        res2 = (z2 / (1 + s / t) ** 2).sum(axis=0) + rest
        alpha, beta = gamma / (m2 + FLOOR), (n - gamma) / (res2 + FLOOR)
        value = (
            k / 2 * np.log(alpha)
            + n / 2 * np.log(beta)
            - np.log(alpha + beta * s).sum(axis=0) / 2
            - beta * res2 / 2
            - alpha * m2 / 2
            - n / 2 * np.log(2 * np.pi)
        ) / n
        out = np.where(open_, value, out)
        ratio = alpha / beta
        open_ &= np.abs(ratio - t) > TOLERANCE * t
        t = np.where(open_, ratio, t)
        if not open_.any():
            break
    return out

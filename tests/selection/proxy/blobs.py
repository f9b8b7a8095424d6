"""Small labelled blobs for the tests of the proxy package."""

from __future__ import annotations

import numpy as np


def blobs(n=300, d=20, c=4, gap=1.5, seed=0):
    """(n, d) float32 features with unequal scales and an offset, (n,) int64 classes."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, c, n)
    features = gap * rng.normal(size=(c, d))[labels] / np.sqrt(2) + rng.normal(size=(n, d))
    return (features * rng.uniform(0.2, 3, d) + 5).astype(np.float32), labels.astype(np.int64)


def pool_labels(labels, rows):
    """Labels over the pool: those of `rows`, all else unlabeled."""
    out = np.full(len(labels), -1, np.int64)
    out[rows] = labels[rows]
    return out

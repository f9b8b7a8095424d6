"""k-center greedy, one pass over the features a pick."""

from __future__ import annotations

import numpy as np


def pick(features: np.ndarray, first: int, budget: int) -> list[int]:
    """Farthest first from row `first`, float32 with a float64 sum of products where it is cheap."""
    norms = np.einsum("nd,nd->n", features, features)
    rows = [first]
    near = np.full(len(features), np.inf, np.float32)
    while len(rows) < budget:
        squared = norms + norms[rows[-1]] - 2 * (features @ features[rows[-1]])
        np.minimum(near, np.maximum(squared, 0), out=near)
        near[rows[-1]] = -1
        rows.append(int(near.argmax()))
    return rows

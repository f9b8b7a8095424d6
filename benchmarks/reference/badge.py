"""BADGE on formed gradient embeddings (n, c d), one pass over all of them a pick."""

from __future__ import annotations

import numpy as np


def embed(features: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """(p - e) outer h: (n, c d) float32."""
    q = (probs - np.eye(probs.shape[1])[probs.argmax(1)]).astype(np.float32)
    return (q[:, :, None] * features[:, None, :]).reshape(len(q), -1)


def pick(gradients: np.ndarray, budget: int, rng: np.random.Generator) -> list[int]:
    """k-means++ sampling; the longest gradient first."""
    norms = np.einsum("nd,nd->n", gradients, gradients).astype(np.float64)
    rows = [int(norms.argmax())]
    near = np.full(len(gradients), np.inf)
    while len(rows) < budget:
        squared = norms + norms[rows[-1]] - 2.0 * (gradients @ gradients[rows[-1]])
        near = np.minimum(near, np.maximum(squared, 0.0))
        near[rows] = 0.0
        total = np.cumsum(near)
        rows.append(int(np.searchsorted(total, rng.random() * total[-1], side="right")))
    return rows

"""One Gaussian a class, read from guesses about the whole pool: what the guesses say once the pool's shape is known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from selection.contract import IntArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

SHRINK = 0.3  # share of the mean variance added to each direction
PRIOR = 3.0  # labels that each class is given before the counts set its share


class Gaussians:
    """Rows (n, p) with their covariance, computed once for several guesses."""

    def __init__(self, rows: Float32) -> None:
        self.rows = rows
        mean = rows.mean(axis=0, dtype=np.float64)
        self.second = (rows.T @ rows).astype(np.float64) / len(rows)  # (p, p)
        self.variance = float(np.trace(self.second) - mean @ mean) / rows.shape[1]

    def logits(self, guess: Float32, labeled: IntArray, labels: IntArray, at: IntArray | None = None) -> Float32:
        """Log odds (n, c), or (m, c) of the rows `at`, of classes with one common covariance.

        guess (n, c) shares, rows to sum 1; those of the `labeled` rows are replaced by `labels` (0..c-1, all present).
        One step of expectation-maximisation for a mixture with shared covariance (McLachlan 1975 fits discriminants
        to unlabeled rows so). We stop after one: more steps follow the pool's clusters away from the classes (measured
        on CIFAR-10, where this choice was made: 3 steps lose 1 to 2 points at 10 labels a class, 10 steps 4 to 6).
        Cost 2 n p c and p^3.
        """
        n, c = guess.shape
        known = guess.copy()
        known[labeled] = np.eye(c, dtype=np.float32)[labels]
        mass = known.sum(axis=0, dtype=np.float64)
        means = (known.T @ self.rows).astype(np.float64) / mass[:, None]  # (c, p)
        within = self.second - (means.T * (mass / n)) @ means
        within += SHRINK * max(self.variance, 1e-12) * np.eye(len(within))
        directions = np.linalg.solve(within, means.T)  # (p, c)
        counts = np.bincount(labels, minlength=c) + PRIOR
        bias = np.log(counts / counts.sum()) - (means.T * directions).sum(axis=0) / 2
        rows = self.rows if at is None else self.rows[at]
        out: Float32 = rows @ directions.astype(np.float32) + bias.astype(np.float32)
        return out

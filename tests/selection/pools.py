"""Small pools and naive definitions that several tests compare with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from selection import UNLABELED, Pool


def wave() -> NDArray[np.float64]:
    """The golden set: 400 unit rows of 8 dimensions made without random numbers, class of row n is n mod 5."""
    n, k = np.arange(400)[:, None], np.arange(1, 9)[None]
    rows = 0.35 * np.sin(0.37 * n * k) + np.cos(1.7 * (n % 5 + 1) * k)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def labeled(n: int, *rows: int) -> NDArray[np.int64]:
    """(n,) labels: `rows` are of class 0, the others are candidates."""
    out = np.full(n, UNLABELED, np.int64)
    out[list(rows)] = 0
    return out


def blobs(*sizes: int, d: int = 8, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Far-apart Gaussian blobs of the given sizes: (rows, blob of each row)."""
    rng = np.random.default_rng(seed)
    of = np.repeat(np.arange(len(sizes)), sizes)
    return (10.0 * np.eye(d)[of] + 0.3 * rng.normal(size=(len(of), d))).astype(np.float32), of


def naive_farthest_first(rows: NDArray[Any], seen: list[int], budget: int, skip: list[int]) -> list[int]:
    """The definition of k-center greedy in float64: ties within 1e-12 of the farthest go to the lowest row."""
    x = rows.astype(np.float64)
    near = np.full(len(x), np.inf)
    for row in seen:
        near = np.minimum(near, ((x - x[row]) ** 2).sum(1))
    near[skip] = -1.0
    near[seen] = -1.0
    picks: list[int] = []
    for _ in range(budget):
        row = int(np.flatnonzero(near >= near.max() * (1 - 1e-12))[0])
        picks.append(row)
        near = np.minimum(near, ((x - x[row]) ** 2).sum(1))
        near[row] = -1.0
    return picks


def pool(rows: NDArray[Any], *seen: int, probs: NDArray[Any] | None = None) -> Pool:
    """`rows` with the rows `seen` labeled."""
    return Pool(rows, labeled(len(rows), *seen), probs)

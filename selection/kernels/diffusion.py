"""Where a walk on the pool's graph ends up, row by row, with only the largest shares kept."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selection.contract import IntArray
from selection.kernels.blocks import blocks
from selection.kernels.graph import SparseGraph

_ROWS = 512  # rows diffused at once: their entries stay in the cache
_LAST = (1 << 31) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Reach:
    """The largest entries of each row of (1 - a) sum_t (a S)^t: `rows` (n, m) int32 and `mass` (n, m) float32.

    Rows with fewer entries are filled up with mass 0 at the row itself.
    """

    rows: NDArray[np.int32]
    mass: NDArray[np.float32]


def diffuse(graph: SparseGraph, stay: float, steps: int, keep: int) -> Reach:
    """Diffuse from every row for `steps` steps, `keep` entries a row after each: K <- (1 - a) I + a S K.

    stay : a, the share that walks on. With all entries kept and many steps, K is (1 - a) (I - a S)^-1. Of equal
    entries those at the lowest rows are kept. Cost n (edges a row) keep steps products, and a partition of the
    entries that they leave; memory 24 n keep bytes and a block.
    """
    from scipy.sparse import csr_array, hstack

    n = len(graph)
    keep = min(keep, n)
    each = np.arange(n, dtype=np.int32)
    walk = hstack(
        [graph.matrix * np.float32(stay), csr_array((np.ones(n, np.float32), each, np.arange(n + 1)))]
    ).tocsr()
    start = np.full(n, 1 - stay, np.float32)
    rows, mass = each[:, None], start[:, None]
    for _ in range(steps):
        width = rows.shape[1]
        starts = np.concatenate([np.arange(0, n * width, width), np.arange(n * width, n * width + n + 1)])
        # (2 n, n): the entries so far, and (1 - a) I, of which `walk` takes one row each
        below = csr_array(
            (np.concatenate([mass.ravel(), start]), np.concatenate([rows.ravel(), each]), starts), shape=(2 * n, n)
        )
        rows, mass = np.empty((n, keep), np.int32), np.empty((n, keep), np.float32)
        for part in blocks(n, _ROWS):
            rows[part], mass[part] = _largest(walk[part] @ below, each[part], keep)
    if rows.shape[1] < keep:  # no step was asked for
        rows, mass = np.repeat(rows, keep, 1), np.pad(mass, ((0, 0), (0, keep - 1)))
    return Reach(rows, mass)


def _largest(found: Any, own: NDArray[np.int32], keep: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The `keep` largest entries of each row of a sparse matrix, largest first; then mass 0 at the row itself.

    A mass (not negative, so that its bits are ordered as it is) and its column are compared as one integer.
    """
    counts = np.diff(found.indptr)
    width = max(keep, int(counts.max(initial=0)))
    keys: IntArray = np.zeros((len(own), width), np.int64)
    keys[np.arange(width) < counts[:, None]] = found.data.view(np.int32).astype(np.int64) << 32 | _LAST - found.indices
    if width > keep:
        keys = np.partition(keys, width - keep, axis=1)[:, width - keep :]
    keys = -np.sort(-keys, axis=1)
    mass = (keys >> 32).astype(np.int32).view(np.float32)
    rows = np.where(mass > 0, _LAST - (keys & 0xFFFFFFFF), own[:, None]).astype(np.int32)
    return rows, mass


def cover_mass(
    reach: Reach, covered: IntArray, free: NDArray[np.bool_], budget: int
) -> tuple[IntArray, NDArray[np.float64]]:
    """Greedy facility location on `reach`: the free row that adds most to sum_j max_i K_ij, again and again.

    Gains only shrink, so a stale gain is a bound and few are computed anew (Minoux 1978). Ties go to the lowest row.
    Returns (rows (k,), gains (k,)) with k = min(budget, free rows).
    """
    best = np.zeros(len(reach.rows), np.float32)
    for row in covered:
        np.maximum.at(best, reach.rows[row], reach.mass[row])
    gains = np.empty(len(best))
    for part in blocks(len(best), 65536):
        more = np.maximum(reach.mass[part] - best[reach.rows[part]], 0)
        gains[part] = more.sum(1, dtype=np.float64)
    heap = [(-float(gains[row]), int(row)) for row in np.flatnonzero(free)]
    heapq.heapify(heap)
    rows: list[int] = []
    added: list[float] = []
    while heap and len(rows) < budget:
        _, row = heapq.heappop(heap)
        near = reach.rows[row]
        gain = float(np.maximum(reach.mass[row] - best[near], 0).sum(dtype=np.float64))
        if heap and (-gain, row) > heap[0]:
            heapq.heappush(heap, (-gain, row))
            continue
        rows.append(row)
        added.append(gain)
        np.maximum.at(best, near, reach.mass[row])
    return np.array(rows, np.int64), np.array(added)

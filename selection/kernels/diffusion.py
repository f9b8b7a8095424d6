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

_ROWS = 512  # rows diffused at once
_ENTRIES = 1 << 20  # unsummed entries at once
_LAST = 0x7FFFFFFF


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
    entries those at the lowest rows are kept. Cost n (edges a row) keep steps multiply-adds; memory 16 n keep bytes
    and a block.
    """
    from scipy.sparse import csr_array, eye_array, hstack

    n = len(graph)
    keep = min(keep, n)
    step = csr_array(hstack([graph.matrix * np.float32(stay), eye_array(n, dtype=np.float32) * np.float32(1 - stay)]))
    step.indptr, step.indices = step.indptr.astype(np.int32), step.indices.astype(np.int32)
    edges = np.diff(step.indptr)
    order = np.argsort(edges, kind="stable")  # rows with as many edges share a block without much padding
    rows: NDArray[np.int32] = np.arange(n, dtype=np.int32)[:, None]
    mass: NDArray[np.float32] = np.full((n, 1), 1 - stay, np.float32)
    for _ in range(steps):
        before = _over_identity(rows, mass)
        rows, mass = np.empty((n, keep), np.int32), np.empty((n, keep), np.float32)
        width = before.indptr[1]
        done = 0
        while done < n:
            most = int(edges[order[min(done + _ROWS, n) - 1]])
            own = order[done : done + max(1, min(_ROWS, _ENTRIES // (most * width)))]
            rows[own], mass[own] = _largest(step[own] @ before, own, keep)
            done += len(own)
    if rows.shape[1] < keep:  # no step was asked for
        rows, mass = np.repeat(rows, keep, 1), np.pad(mass, ((0, 0), (0, keep - 1)))
    return Reach(rows, mass)


def _over_identity(rows: NDArray[np.int32], mass: NDArray[np.float32]) -> Any:
    """The entries `rows` (n, m) and `mass` (n, m) of K as a `csr_array` (2 n, n), with the identity below."""
    from scipy.sparse import csr_array

    n, m = rows.shape
    starts = np.concatenate([np.arange(0, n * m, m), np.arange(n * m, n * m + n + 1)]).astype(np.int32)
    columns = np.concatenate([rows.ravel(), np.arange(n, dtype=np.int32)])
    return csr_array((np.concatenate([mass.ravel(), np.ones(n, np.float32)]), columns, starts), shape=(2 * n, n))


def _largest(product: Any, own: IntArray, keep: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The `keep` largest entries of each row of a `csr_array`, largest first; filled up with mass 0 at the row itself.

    A mass (not negative, so that its bits are ordered as it is) and its column are ordered as one integer.
    """
    counts = np.diff(product.indptr)
    width = max(int(counts.max()), keep)
    keys: IntArray = np.zeros((len(own), width), np.int64)
    entries = (product.data.view(np.int32).astype(np.int64) << 32) | (_LAST - product.indices)
    keys[np.arange(width) < counts[:, None]] = entries
    if width > keep:
        keys = np.partition(keys, width - keep, axis=1)[:, width - keep :]
    keys = -np.sort(-keys, axis=1)
    mass = (keys >> 32).astype(np.int32).view(np.float32)
    return np.where(mass > 0, _LAST - (keys & _LAST), own[:, None]).astype(np.int32), mass


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

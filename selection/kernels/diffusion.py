"""Where a walk on the pool's graph ends up, row by row, with only the largest shares kept."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selection.contract import IntArray
from selection.kernels.blocks import blocks
from selection.kernels.graph import SparseGraph

_ROWS = 512  # rows diffused at once
_ENTRIES = 1 << 18  # unsummed entries at once: they stay in the cache


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
    entries those at the lowest rows are kept. Cost n (edges a row) keep steps entries, each sorted in its row;
    memory 16 n keep bytes and a block.
    """
    n = len(graph)
    keep = min(keep, n)
    edges = np.diff(graph.indptr)
    order = np.argsort(edges, kind="stable")  # rows with as many edges share a block without much padding
    rows: NDArray[np.int32] = np.arange(n, dtype=np.int32)[:, None]
    mass: NDArray[np.float32] = np.full((n, 1), 1 - stay, np.float32)
    for _ in range(steps):
        fresh_rows, fresh_mass = np.empty((n, keep), np.int32), np.empty((n, keep), np.float32)
        done = 0
        while done < n:
            most = int(edges[order[min(done + _ROWS, n) - 1]])
            own = order[done : done + max(1, min(_ROWS, _ENTRIES // (most * mass.shape[1] + keep)))]
            fresh_rows[own], fresh_mass[own] = _largest(*_walked(graph, own, rows, mass, stay), own, keep)
            done += len(own)
        rows, mass = fresh_rows, fresh_mass
    if rows.shape[1] < keep:  # no step was asked for
        rows, mass = np.repeat(rows, keep, 1), np.pad(mass, ((0, 0), (0, keep - 1)))
    return Reach(rows, mass)


def _walked(
    graph: SparseGraph, own: IntArray, rows: NDArray[np.int32], mass: NDArray[np.float32], stay: float
) -> tuple[IntArray, NDArray[np.float32]]:
    """Entries of (1 - a) I + a S K in the rows `own`, unsummed: columns (m, w) int64 and their mass (m, w)."""
    starts, counts = graph.indptr[own], graph.indptr[own + 1] - graph.indptr[own]
    place = np.arange(counts.max(initial=0))
    there = place < counts[:, None]
    at = np.where(there, starts[:, None] + place, 0)
    near = np.where(there, graph.columns[at], own[:, None]) if len(graph.columns) else np.empty(at.shape, np.int64)
    weight = np.where(there, graph.values[at], 0) * np.float32(stay) if len(graph.columns) else np.empty(at.shape)
    columns = np.empty((len(own), near.shape[1] * mass.shape[1] + 1), np.int64)
    values = np.empty(columns.shape, np.float32)
    columns[:, 0], values[:, 0] = own, 1 - stay
    columns[:, 1:] = rows[near].reshape(len(own), -1)  # (m, edges, keep) -> (m, edges keep)
    values[:, 1:] = (mass[near] * weight[:, :, None]).reshape(len(own), -1)
    return columns, values


def _largest(
    columns: IntArray, values: NDArray[np.float32], own: IntArray, keep: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The `keep` largest sums over equal columns of each row, largest first; filled up with mass 0 at the row itself.

    A column and its mass (not negative, so that its bits are ordered as it is) are sorted as one integer.
    """
    keys = columns << 32 | values.view(np.int32)
    keys.sort(axis=1)
    columns, values = keys >> 32, (keys & 0xFFFFFFFF).astype(np.int32).view(np.float32)
    first = np.ones(columns.shape, bool)
    np.not_equal(columns[:, 1:], columns[:, :-1], out=first[:, 1:])
    starts = np.flatnonzero(first)
    sums = np.add.reduceat(values.ravel(), starts)
    keys.fill(1 << 62)  # behind every sum
    keys.reshape(-1)[starts] = columns.reshape(-1)[starts] - (sums.view(np.int32).astype(np.int64) << 32)
    keys.sort(axis=1)
    keys = keys[:, :keep]
    kept = np.tile(own[:, None].astype(np.int32), keep)
    mass = np.zeros(kept.shape, np.float32)
    low = keys & 0xFFFFFFFF
    shares = ((low - keys) >> 32).astype(np.int32).view(np.float32)
    real = (keys < 0) & (shares > 0)
    width = keys.shape[1]
    kept[:, :width][real], mass[:, :width][real] = low[real], shares[real]
    return kept, mass


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

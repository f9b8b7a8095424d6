"""Where a walk on the pool's graph ends up, row by row, with only the largest shares kept."""

from __future__ import annotations

import heapq
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selection.contract import IntArray
from selection.kernels.blocks import blocks
from selection.kernels.graph import SparseGraph

_ROWS = 8192  # rows that a thread takes at once


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
    entries those at the lowest rows are kept. Cost n (edges a row) keep steps multiply-adds on torch's threads, whose
    number changes no bit; memory 16 n keep bytes.
    """
    import torch

    from selection.strategies.graphcover.walking import step_rows

    n = len(graph)
    keep = min(keep, n)
    shares, rest = graph.values * np.float32(stay), np.float32(1 - stay)
    rows: NDArray[np.int32] = np.arange(n, dtype=np.int32)[:, None]
    mass: NDArray[np.float32] = np.full((n, 1), 1 - stay, np.float32)
    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        for _ in range(steps):
            farther, more = np.empty((n, keep), np.int32), np.empty((n, keep), np.float32)
            given = graph.indptr, graph.columns, shares, rows, mass, rest, farther, more.view(np.int32)
            list(threads.map(lambda part, given=given: step_rows(part.start, part.stop, *given), blocks(n, _ROWS)))
            rows, mass = farther, more
    if rows.shape[1] < keep:  # no step was asked for
        rows, mass = np.repeat(rows, keep, 1), np.pad(mass, ((0, 0), (0, keep - 1)))
    return Reach(rows, mass)


def cover_mass(
    reach: Reach, covered: IntArray, free: NDArray[np.bool_], budget: int
) -> tuple[IntArray, NDArray[np.float64], IntArray]:
    """Greedy facility location on `reach`: the free row that adds most to sum_j max_i K_ij, again and again.

    Gains only shrink, so a stale gain is a bound and few are computed anew (Minoux 1978). Ties go to the lowest row.
    Returns rows, their gains, and how many rows each reaches better than all before it: (k,) each, k = min(budget,
    free rows).
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
    better: list[int] = []
    while heap and len(rows) < budget:
        _, row = heapq.heappop(heap)
        near = reach.rows[row]
        more = np.maximum(reach.mass[row] - best[near], 0)
        gain = float(more.sum(dtype=np.float64))
        if heap and (-gain, row) > heap[0]:
            heapq.heappush(heap, (-gain, row))
            continue
        rows.append(row)
        added.append(gain)
        better.append(int((more > 0).sum()))
        np.maximum.at(best, near, reach.mass[row])
    return np.array(rows, np.int64), np.array(added), np.array(better, np.int64)

"""Greedy picks: exact farthest-first traversal in few passes, and the facility-location order of given picks."""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selection.contract import FloatArray, IntArray
from selection.kernels.blocks import block_rows, blocks, tensor
from selection.kernels.centred import CentredRows
from selection.kernels.distances import (
    distances_to,
    exact_distances_to,
    mean_row,
    rounding,
    squared_norms,
    squared_to,
)

SHORTLIST = 1024
CENTERS_AT_ONCE = 4096
TIE = 1e-12
"""Squared distances that differ by less than this share of the larger are equal; the lowest row wins."""

FACILITY_ENTRIES = 32 << 20


class FarthestFirst:
    """Exact k-center greedy (Gonzalez 1985; Sener & Savarese 2018), speculative: many picks for each pass.

    Every row keeps a float32 squared distance to the nearest center and a bound of its rounding. A pass shortlists
    the rows that may be farthest, evaluates those in float64 by differences, and picks inside the shortlist as long
    as no row outside can be as far: distances never grow, so each pick is that of the plain algorithm. Then one
    blocked GEMM with all new centers updates the pool. Where ties crowd out the shortlist, one pick is decided among
    all rows that may be farthest, which costs a pass like the plain algorithm's.

    features : (n, d). covered : rows that are centers from the start. candidates : rows that may be picked.
    Cost: 2 n k d flops in all, one reading of the features for each pass (tens of picks), 24 bytes a row of state.
    """

    def __init__(self, features: FloatArray, covered: IntArray, candidates: IntArray, *, device: str = "cpu") -> None:
        n = len(features)
        self.features, self.device = features, device
        self.centers: IntArray = np.asarray(covered, np.int64)
        self.rows = CentredRows(features, device=device)
        # bounds of rounding must hold for products of rows as they are and of rows less the mean
        self.norms = np.maximum(squared_norms(features, device=device), self.rows.squared).astype(np.float64)
        self.near = np.full(n, np.inf, np.float32)
        self.exact = np.full(n, np.inf)
        self.seen = np.zeros(n, np.int64)
        self.free = np.zeros(n, bool)
        self.free[candidates] = True
        self._lower(self.centers)

    def pick(self, budget: int) -> tuple[IntArray, NDArray[np.float64]]:
        """(rows, their squared distance to the centers before them); inf for a first pick with no center."""
        rows: list[int] = []
        squared: list[float] = []
        budget = min(budget, int(self.free.sum()))
        if budget and not len(self.centers):
            rows.append(self._central_row())
            squared.append(np.inf)
            self._take(rows)
        while len(rows) < budget:
            fresh, values = self._one_pass(budget - len(rows))
            rows.extend(fresh)
            squared.extend(values)
            self._take(fresh, last=len(rows) >= budget)
        return np.asarray(rows, np.int64), np.asarray(squared)

    def _take(self, fresh: list[int], last: bool = False) -> None:
        at = np.asarray(fresh, np.int64)
        self.free[at] = False
        self.centers = np.concatenate([self.centers, at])
        if not last:
            self._lower(at)

    def _lower(self, fresh: IntArray) -> None:
        for part in blocks(len(fresh), CENTERS_AT_ONCE):
            self.rows.lower(self.near, fresh[part])

    def _central_row(self) -> int:
        """The candidate nearest to the mean of all rows."""
        mean = mean_row(self.features, device=self.device)
        d2 = distances_to(self.features, mean, device=self.device)
        slack = rounding(self.norms, d2, self.features.shape[1])
        may = np.flatnonzero(self.free & (d2 - slack <= (d2 + slack)[self.free].min()))
        exact = exact_distances_to(self.features[may], mean)
        return int(may[exact <= exact.min() * (1 + TIE)][0])

    def _one_pass(self, budget: int) -> tuple[list[int], list[float]]:
        rows = np.flatnonzero(self.free)
        upper = self.near[rows] + rounding(self.norms[rows], self.near[rows], self.features.shape[1])
        bound = -np.inf
        if len(rows) > SHORTLIST:
            at = np.argpartition(-upper, SHORTLIST)
            bound = float(upper[at[SHORTLIST]])
            rows_short = np.sort(rows[at[:SHORTLIST]])
        else:
            rows_short = rows
        values = self._evaluate(rows_short)
        fresh, squared = self._inside(rows_short, values, bound, budget)
        if fresh:
            return fresh, squared
        may = rows[upper >= values.max() * (1 - TIE)]
        values = self._evaluate(may)
        if values.max() == 0.0:  # every free row is a copy of a center: nothing left to tell them apart
            return [int(row) for row in rows[:budget]], [0.0] * min(budget, len(rows))
        best = int(np.flatnonzero(values >= values.max() * (1 - TIE))[0])
        return [int(may[best])], [float(values[best])]

    def _inside(
        self, rows: IntArray, values: NDArray[np.float64], bound: float, budget: int
    ) -> tuple[list[int], list[float]]:
        """Picks among the shortlist (ascending rows) while its farthest is surely beyond `bound`."""
        values = values.copy()
        fresh: list[int] = []
        squared: list[float] = []
        if not values.max() * (1 - TIE) > bound:
            return fresh, squared
        part = np.ascontiguousarray(self.features[rows])
        x = tensor(part, self.device)
        between = squared_to(x, x, (x * x).sum(1)).cpu().numpy()  # (m, m), m = SHORTLIST
        wide = part.astype(np.float64)
        slack = 3.0 * rounding(self.norms[rows], values, part.shape[1])
        while len(fresh) < budget:
            high = float(values.max())
            if not high * (1 - TIE) > bound or high < 0:
                break
            at = int(np.flatnonzero(values >= high * (1 - TIE))[0])
            fresh.append(int(rows[at]))
            squared.append(high)
            closer = np.flatnonzero(between[at] <= values + slack)
            gap = wide[closer] - wide[at]
            values[closer] = np.minimum(values[closer], np.einsum("md,md->m", gap, gap))
            values[fresh_positions(rows, fresh[-1])] = -1.0
        return fresh, squared

    def _evaluate(self, rows: IntArray) -> NDArray[np.float64]:
        """float64 squared distance of `rows` to the nearest center; remembers what it has compared."""
        d = self.features.shape[1]
        for since in np.unique(self.seen[rows]):
            stale = rows[self.seen[rows] == since]
            for centers in blocks(len(self.centers) - int(since), CENTERS_AT_ONCE):
                chosen = self.centers[int(since) :][centers]
                c = tensor(self.features[chosen], self.device)
                for part in blocks(len(stale), block_rows(4 * (len(chosen) + d))):
                    self._compare(stale[part], chosen, c)
            self.seen[stale] = len(self.centers)
        return self.exact[rows]

    def _compare(self, rows: IntArray, centers: IntArray, c: Any) -> None:
        """Evaluate by differences only the pairs that a float32 GEMM cannot rule out."""
        near = self.near[rows]
        d2 = squared_to(tensor(self.features[rows], self.device), c, (c * c).sum(1)).cpu().numpy()
        slack = 3.0 * rounding(self.norms[rows], near, self.features.shape[1])
        left, right = np.nonzero(d2 <= (near + slack)[:, None])
        for pairs in blocks(len(left), block_rows(32 * self.features.shape[1])):
            a, b = left[pairs], right[pairs]
            gap = self.features[rows[a]].astype(np.float64) - self.features[centers[b]]
            np.minimum.at(self.exact, rows[a], np.einsum("md,md->m", gap, gap))


def fresh_positions(rows: IntArray, row: int) -> int:
    """Position of `row` in ascending `rows`."""
    return int(np.searchsorted(rows, row))


def facility_order(
    features: FloatArray, picks: IntArray, *, covered: IntArray | None = None, device: str = "cpu"
) -> IntArray:
    """Order `picks` so that each next one adds most to sum_i max_j <f_i, f_j> (greedy facility location).

    features : (n, d), unit rows where cosine is meant. covered : rows that serve from the start. Returns positions
    in `picks`, (k,). Lazy greedy over a (k, m) float32 matrix; every (n k / 32M)-th row stands for the pool where
    n x k would be larger than that. Ties go to the earlier pick.
    """
    k = len(picks)
    if k == 0:
        return np.empty(0, np.int64)
    step = -(-len(features) * k // FACILITY_ENTRIES)
    seen = features[:: max(1, step)]
    served = np.empty((k, len(seen)), np.float32)
    c = tensor(features[picks], device)
    base = np.full(len(seen), np.inf, np.float32)
    for part in blocks(len(seen), block_rows(4 * (features.shape[1] + k))):
        x = tensor(seen[part], device)
        served[:, part] = (c @ x.T).cpu().numpy()
        base[part] = served[:, part].min(0)
        for others in blocks(0 if covered is None else len(covered), CENTERS_AT_ONCE):
            assert covered is not None
            high = (tensor(features[covered[others]], device) @ x.T).max(0).values.cpu().numpy()
            np.maximum(base[part], high, out=base[part])
    return _lazy_greedy(served, base)


def _lazy_greedy(served: NDArray[np.float32], current: NDArray[np.float32]) -> IntArray:
    def gain(j: int) -> float:
        return float(np.maximum(served[j] - current, 0.0).sum(dtype=np.float64))

    heap = [(-gain(j), j) for j in range(len(served))]
    heapq.heapify(heap)
    order: list[int] = []
    while heap:
        _, j = heapq.heappop(heap)
        fresh = (-gain(j), j)
        if heap and fresh > heap[0]:
            heapq.heappush(heap, fresh)
            continue
        order.append(j)
        np.maximum(current, served[j], out=current)
    return np.asarray(order, np.int64)

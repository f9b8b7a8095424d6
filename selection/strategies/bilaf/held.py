"""BiLAF's pseudo-classes of middle size: one float32 matrix of distances; float64 where rounding could decide."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from selection.contract import FloatArray, IntArray
from selection.kernels.blocks import block_rows, blocks

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
HELD = 5792
"""Rows of the largest class whose matrix is held (128 MiB)."""


class Held:
    """All distances between the rows of one class, in float32, with a bound on how far each may be off.

    A comparison that the bound leaves open is decided in float64, so results are those of float64 at the speed of
    float32.

    The bound: a squared distance is off by at most e = `unit` (|a| + |b|)^2, where |a| and |b| are the lengths of the
    rows about the class mean. With u = 2^-23 it is made of

    - twice the product of d terms: d / 4 u in any order of summing, as |a| |b| is at most a quarter of that square;
    - the rounded rows (x - mean, half a u a term): one u;
    - the squares, summed in float64, the last three operations and the root: a few u.

    A distance measured as t is then off by at most e / max(t, sqrt(e)), because |s^2 - t^2| = |s - t| (s + t). Any
    vector may stand in for the mean.

    features : (m, d) of the class, in any float type. Open comparisons are decided by float64 differences of these.
    room : float32 memory of m^2 values to hold the matrix, so that classes can share it one after the other (new pages
    were measured to cost as much as the arithmetic); its own where None.
    sums : distance of each row to all, (m,). doubts : how far `sums` may be off. Cost m^2 d flops on a CPU; memory
    4 m^2 bytes and the rows twice.
    """

    def __init__(self, features: FloatArray, device: str, room: Float32 | None = None) -> None:
        self.features = features
        wide = features if features.dtype == np.float64 else features.astype(np.float32, copy=False)
        x = (wide - wide.mean(0)).astype(np.float32, copy=False)
        squares: Float64 = np.einsum("ij,ij->i", x, x, dtype=np.float64)
        m, d = x.shape
        self.unit = 1.05 * (d / 4 + 8) * 2.0**-23
        self.lengths: Float64 = np.sqrt(squares)
        room = np.empty(m * m, np.float32) if room is None else room
        self.between: Float32 = room[: m * m].reshape(m, m)
        _products(x, device, self.between)
        self._scratch = np.empty((min(m, block_rows(64 * m)), m), np.float32)
        self.sums: Float64 = np.empty(m)
        self.doubts: Float64 = np.empty(m)
        self._measure(squares.astype(np.float32))

    def _measure(self, squares: Float32) -> None:
        """Turn the products into distances, and add up these and their errors, while a block is in the cache."""
        powers = [np.ones_like(squares), np.sqrt(squares), squares]
        least = np.float32(max(2 * self.unit**0.5 * float(powers[1].min()), 1e-30))
        for part in blocks(len(squares), len(self._scratch)):
            d2 = self.between[part]
            d2 *= -2.0
            d2 += squares[part, None]
            d2 += squares
            np.maximum(d2, 0.0, out=d2)
            np.sqrt(d2, out=d2)
            own = np.arange(part.start, part.stop)
            d2[own - part.start, own] = 0.0
            self.sums[part] = d2.sum(1, dtype=np.float64)
            inverse = np.maximum(d2, least, out=self._scratch[: len(d2)])
            np.reciprocal(inverse, out=inverse)
            one, length, square = ((inverse @ power).astype(np.float64) for power in powers)
            a = self.lengths[part]
            self.doubts[part] = 1.01 * self.unit * (a * a * one + 2 * a * length + square)

    def __len__(self) -> int:
        return len(self.between)

    def exact(self, row: int, others: IntArray) -> Float64:
        """Distances of one row to others, from float64 differences."""
        gaps = self.features[others].astype(np.float64)
        gaps -= self.features[row].astype(np.float64)
        return np.asarray(np.sqrt(np.einsum("ij,ij->i", gaps, gaps)))

    def errors(self, found: Float64, reach: Any) -> Float64:
        """How far measured distances may be off; `reach` bounds |a| + |b|."""
        e = self.unit * np.square(reach)
        return np.asarray(e / np.maximum(np.maximum(found, np.sqrt(e)), 1e-300))

    def means(self, inside: IntArray) -> tuple[Float64, Float64]:
        """Mean distance of each of `inside` to all of them, itself included, and by how much it may be off: (t,)."""
        noise = np.setdiff1d(np.arange(len(self)), inside)
        sums = self.sums[inside]
        for part in blocks(len(inside), len(self._scratch)):
            sums[part] -= self._cut(inside[part], noise).sum(1, dtype=np.float64)
        return sums / len(inside), self.doubts[inside] / len(inside)

    def exact_means(self, rows: IntArray, among: IntArray) -> Float64:
        """Mean distance of each of a few `rows` to all of `among`, in float64."""
        center = self.features[rows].mean(0, dtype=np.float64)
        left = self.features[rows] - center
        sums: Float64 = np.zeros(len(rows))
        for part in blocks(len(among), block_rows(16 * self.features.shape[1] + 8 * len(rows))):
            right = self.features[among[part]] - center
            d2 = (left @ right.T) * -2.0 + np.einsum("ij,ij->i", left, left)[:, None]
            d2 += np.einsum("ij,ij->i", right, right)
            d2[rows[:, None] == among[part]] = 0.0
            sums += np.sqrt(np.maximum(d2, 0.0)).sum(1)
        return np.asarray(sums / len(among))

    def nearest_of(self, row: int, among: IntArray, count: int) -> IntArray:
        """Places in `among` of the `count` < len(among) rows nearest to `row`; the set is what counts."""
        found: Float64 = self.between[row][among].astype(np.float64)
        found[among == row] = -1.0  # itself first
        error = self.errors(found, self.lengths[row] + self.lengths[among])
        doubtful = np.flatnonzero(in_doubt(found, error, count) & (among != row))
        found[doubtful] = self.exact(row, among[doubtful])
        return np.argsort(found, kind="stable")[:count]

    def order_by_density(self, core: int, inner: float, neighbors: int, kept: int) -> IntArray:
        """Positions of the class from its dense middle outwards, in rings, as `boundary.dense_first` orders them.

        Which rows a ring takes, and which are among the first `kept`, is decided in float64 where float32 leaves
        doubt; rows after `kept` keep float32's order.
        """
        m = len(self)
        ring = max(1, int(inner * m))
        order: IntArray = np.empty(0, np.int64)
        rows: IntArray
        rows, listed = np.arange(m), self.between[:, [core]]
        inside: IntArray = np.array([core])
        while True:
            density: Float64 = listed.mean(1, dtype=np.float64)
            cuts = [c for c in (ring, kept - len(order)) if 0 < c <= ring and c < len(rows)]
            self._settle(rows, inside, listed, density, cuts)
            places = np.argsort(density, kind="stable")
            fresh, left = rows[places[:ring]], np.sort(places[ring:])
            listed = listed[left] if len(order) else np.empty((len(left), 0), np.float32)
            order = inside = np.asarray(np.concatenate([order, fresh]))
            rows = rows[left]
            if not len(rows):
                return order
            listed = _low(np.concatenate([listed, self._least(rows, fresh, neighbors)], axis=1), neighbors)

    def _cut(self, rows: IntArray, others: IntArray) -> Float32:
        """The distances of a few rows, no more than the scratch holds, to others."""
        whole = np.take(self.between, rows, axis=0, out=self._scratch[: len(rows)], mode="clip")
        return np.asarray(whole.take(others, axis=1))

    def _least(self, rows: IntArray, fresh: IntArray, k: int) -> Float32:
        """The k smallest distances (or all) of each of `rows` to `fresh`."""
        out = np.empty((len(rows), min(k, len(fresh))), np.float32)
        for part in blocks(len(rows), len(self._scratch)):
            out[part] = _low(self._cut(rows[part], fresh), k)
        return out

    def _settle(self, rows: IntArray, inside: IntArray, listed: Float32, density: Float64, cuts: list[int]) -> None:
        """Replace float32 densities that might fall on the wrong side of a cut (a count of rows) by float64 ones.

        |b| is at most |a| + |a - b|. The mean error of the listed distances bounds that of their mean even if others
        are nearest in truth, as distance less error grows with the distance.
        """
        if not cuts:
            return
        wide = listed.astype(np.float64)
        error = 1.01 * self.errors(wide, 2 * self.lengths[rows, None] + wide).mean(1)
        doubtful = np.zeros(len(rows), bool)
        for cut in cuts:
            doubtful |= in_doubt(density, error, cut)
        k = listed.shape[1]
        for at in np.flatnonzero(doubtful):
            row = int(rows[at])
            found: Float64 = self.between[row][inside].astype(np.float64)
            off = self.errors(found, self.lengths[row] + self.lengths[inside])
            near = inside[found - off <= np.partition(found + off, k - 1)[k - 1]]
            density[at] = np.partition(self.exact(row, near), k - 1)[:k].mean()


def in_doubt(found: Float64, error: Float64, cut: int) -> NDArray[np.bool_]:
    """Which values may, within their errors, lie on either side of the cut after the `cut` smallest."""
    # the cut-th smallest lies between the cut-th smallest lower and the cut-th smallest upper bound
    lower, upper = found - error, found + error
    floor, roof = np.partition(lower, cut - 1)[cut - 1], np.partition(upper, cut)[cut]
    return np.asarray((upper >= floor) & (lower <= roof))


def _low(values: Float32, k: int) -> Float32:
    return values if k >= values.shape[1] else np.partition(values, k - 1, axis=1)[:, :k]


def _products(x: Float32, device: str, out: Float32) -> None:
    """(m, m) products of all rows with each other; on a CPU numpy makes one half and mirrors it."""
    import torch

    if device == "cpu":
        np.matmul(x, x.T, out=out)
    else:
        there = torch.from_numpy(x).to(device)
        out[:] = (there @ there.T).cpu().numpy()

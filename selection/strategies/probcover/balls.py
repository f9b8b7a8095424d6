"""Pairs of unit rows within a radius: exact, without a graph and without n x n."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from selection.contract import FloatArray, IntArray
from selection.kernels import sieve
from selection.kernels.blocks import blocks
from selection.kernels.distances import unit_rows
from selection.kernels.top import Halves, halve_blocks, shortlists

if TYPE_CHECKING:
    import torch

_LEAD = 63  # directions of the first look; with what they leave, 64 numbers a row
_SAMPLE = 8192  # rows that choose those directions
_TILE = (128, 16384)
_PAIRS = 256  # pairs multiplied at once: their rows stay in the cache
_DENSE = 0.02  # with more pairs than this in doubt a tile is multiplied out
_TRIES = 8  # tiles after which directions that leave too many pairs in most of them are not asked again
_NEAR = 2e-5  # similarities this close to the threshold are decided in float64


@dataclass(frozen=True, slots=True, eq=False)
class Lists:
    """Neighbours of some rows: those of row r are columns[pointers[r] : pointers[r + 1]]; of other rows, none."""

    pointers: IntArray
    columns: NDArray[np.int32]

    def of(self, row: int) -> IntArray:
        """The neighbours of one row: (m,)."""
        return self.columns[self.pointers[row] : self.pointers[row + 1]].astype(np.int64)

    def degrees(self, rows: IntArray) -> IntArray:
        """For every row of the pool, in how many lists of `rows` it stands: (n,)."""
        counts = self.pointers[rows + 1] - self.pointers[rows]
        at = np.repeat(self.pointers[rows] - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
        return np.bincount(self.columns[at], minlength=len(self.pointers) - 1)


class Balls:
    """Which rows lie within `delta` (Euclidean, on unit rows) of given rows; a row is not in its own list.

    The first look multiplies 63 leading directions only and adds the product of what they leave of both rows, which
    bounds the similarity from above (Cauchy-Schwarz), in bfloat16 with a proven slack where the CPU multiplies it
    (`kernels.sieve`); pairs in doubt are evaluated in full, and those within rounding of the threshold in float64.
    Where the directions leave too many pairs, all dimensions are multiplied in bfloat16 instead, or in float32. All
    rows against all: each pair once. Cost of m rows: 2 m n 64 flops if the directions tell rows apart, at most 2 m n d.
    Memory: the unit rows, n d float32 (and again in bfloat16 where the directions do not do), and one tile.
    """

    def __init__(self, features: FloatArray, *, device: str = "cpu") -> None:
        import torch

        self.features, self.device = features, device
        self.unit = torch.from_numpy(unit_rows(features, device=device)).to(device)
        n, d = self.unit.shape
        self.lead: torch.Tensor | None = None
        self.halves: Halves | None = None
        self._whole: Halves | None = None
        self._looks = self._vain = 0
        if d > 2 * _LEAD:
            sample = self.unit[:: max(1, n // _SAMPLE)]
            basis = torch.linalg.eigh((sample.T @ sample).double())[1][:, -_LEAD:].float()
            self.lead = torch.empty((n, _LEAD + 1), device=device)
            for part in blocks(n, 8192):
                seen = self.unit[part] @ basis
                rest = (self.unit[part].square().sum(1) - seen.square().sum(1)).clamp_(min=0)
                self.lead[part] = torch.cat([seen, rest.sqrt()[:, None]], 1)
            if shortlists(device, torch.float32, _LEAD + 1, n):
                self.halves = halve_blocks(self.lead)

    def degrees(self, rows: IntArray, delta: float) -> IntArray:
        """For every row of the pool, how many of `rows` lie within `delta` of it, itself not counted: (n,)."""
        count = np.zeros(len(self.unit), np.int64)
        for _, hit in self._pairs(rows, delta):
            np.add.at(count, hit, 1)
        return count

    def lists(self, rows: IntArray, delta: float, most: int) -> Lists | None:
        """The neighbours of each of `rows`, unless there are more than `most` pairs in all."""
        # one growing array: many small ones that stay would pin the memory between the tiles
        kept: NDArray[np.int32] = np.empty((2, min(most, 1 << 16)), np.int32)
        count = 0
        for left, right in self._pairs(rows, delta):
            fresh = slice(count, count + len(left))
            count = fresh.stop
            if count > most:
                return None
            if count > kept.shape[1]:
                kept = np.concatenate([kept, np.empty((2, max(count, kept.shape[1])), np.int32)], axis=1)
            kept[0, fresh], kept[1, fresh] = left, right
        ends, columns = kept[:, :count]
        pointers = np.concatenate([[0], np.cumsum(np.bincount(ends, minlength=len(self.unit)))])
        return Lists(pointers, columns[np.argsort(ends, kind="stable")])

    def within(self, row: int, delta: float) -> IntArray:
        """Rows within `delta` of `row`, ascending, itself left out."""
        hits = [hit for _, hit in self._pairs(np.array([row]), delta)]
        return np.sort(np.concatenate(hits)) if hits else np.empty(0, np.int64)

    def near_any(self, rows: IntArray, delta: float) -> NDArray[np.bool_]:
        """Mask of the pool's rows within `delta` of any of `rows`, those themselves included: (n,)."""
        mask = np.zeros(len(self.unit), bool)
        mask[rows] = True
        for _, hit in self._pairs(rows, delta):
            mask[hit] = True
        return mask

    def _pairs(self, rows: IntArray, delta: float) -> Iterator[tuple[IntArray, IntArray]]:
        """Pairs (one of `rows`, pool row) within `delta`, tile by tile; `rows` distinct."""
        least = 1.0 - 0.5 * delta * delta  # d < delta on unit rows: similarity above this
        n = len(self.unit)
        whole = len(rows) == n
        for some in blocks(n if whole else len(rows), _TILE[0]):
            own = np.arange(some.start, some.stop) if whole else rows[some]
            first = some.start if whole else 0  # of each pair of a whole pool the lower row looks for the other
            for part in blocks(n - first, _TILE[1]):
                left, right = self._tile(own, slice(part.start + first, part.stop + first), least, whole)
                if whole:
                    left, right = np.concatenate([left, right]), np.concatenate([right, left])
                if len(left):
                    yield left, right

    def _tile(self, rows: IntArray, part: slice, least: float, upper: bool) -> tuple[IntArray, IntArray]:
        """Pairs of one tile, (row, column); `upper`: only those whose column is the higher row."""
        import torch

        at = torch.from_numpy(rows).to(self.device)
        found = self._in_doubt(at, part, least)
        if found is not None:
            left, right = rows[found[0]], found[1] + part.start
            asked = left < right if upper else left != right
            return self._decide(left[asked], right[asked], None, least)
        sims = self.unit[at] @ self.unit[part].T
        row, column = _where(sims > least - _NEAR)
        asked = rows[row] < column + part.start if upper else rows[row] != column + part.start
        row, column = row[asked], column[asked]
        places = torch.from_numpy(row).to(self.device), torch.from_numpy(column).to(self.device)
        return self._decide(rows[row], column + part.start, sims[places].cpu().numpy(), least)

    def _in_doubt(self, at: torch.Tensor, part: slice, least: float) -> tuple[IntArray, IntArray] | None:
        """Places (in `at`, in `part`) that a cheaper product cannot rule out, or None if they are many."""
        most = _DENSE * len(at) * (part.stop - part.start)
        if self.lead is not None and (self._looks < _TRIES or 2 * self._vain < self._looks):
            found = None if self.halves is None else _sift(self.halves, at, part, least, most)
            if found is None:
                left, right = _where(self.lead[at] @ self.lead[part].T > least - _NEAR)  # (m, block)
                found = (left, right) if len(left) <= most else None
            self._looks += 1
            self._vain += found is None
            if found is not None:
                return found
        if self._whole is None and shortlists(self.device, self.unit.dtype, *reversed(self.unit.shape)):
            self._whole = halve_blocks(self.unit)
        return None if self._whole is None else _sift(self._whole, at, part, least, most)

    def _decide(
        self, left: IntArray, right: IntArray, sims: NDArray[Any] | None, least: float
    ) -> tuple[IntArray, IntArray]:
        import torch

        if sims is None:
            sims = np.empty(len(left), np.float32)
            a, b = torch.from_numpy(left).to(self.device), torch.from_numpy(right).to(self.device)
            for part in blocks(len(left), _PAIRS if self.device == "cpu" else 1 << 16):
                both = self.unit.index_select(0, a[part]).mul_(self.unit.index_select(0, b[part]))
                sims[part] = both.sum(1).cpu().numpy()
        close = np.flatnonzero(np.abs(sims - least) <= _NEAR)
        inside = sims > least
        for part in blocks(len(close), 4096):
            x, y = _exact(self.features[left[close[part]]]), _exact(self.features[right[close[part]]])
            inside[close[part]] = np.einsum("md,md->m", x, y) > least
        return left[inside], right[inside]


def _sift(halves: Halves, at: torch.Tensor, part: slice, least: float, most: float) -> tuple[IntArray, IntArray] | None:
    """Places (in `at`, in `part`) whose bfloat16 product may reach `least`, or None if they are more than `most`."""
    some = Halves(halves.rows[at], halves.lost[at], halves.length[at])
    moved = sieve.rounding(some, halves)
    bars = np.full(len(at), least - _NEAR, np.float32)
    if not sieve.provable(bars, moved):
        return None
    bits, maxima = sieve.products(some, halves.part(part))
    bar = sieve.bar_of(bars, moved)
    if (maxima >= bar[:, None]).sum() > most:
        return None
    found = sieve.reaching(bits, maxima, bar)
    return found if len(found[0]) <= most else None


def _exact(part: FloatArray) -> NDArray[np.float64]:
    x = part.astype(np.float64)
    length = np.sqrt(np.einsum("md,md->m", x, x))
    length[length == 0] = 1.0
    return np.asarray(x / length[:, None])


def _where(mask: torch.Tensor) -> tuple[IntArray, IntArray]:
    """Row and column of the true entries; numpy scans a mask with few of them faster than torch."""
    flat = np.flatnonzero(mask.cpu().numpy().ravel())
    left, right = np.divmod(flat, mask.shape[1])
    return left, right

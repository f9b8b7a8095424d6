"""BiLAF's large pseudo-classes: every distance once and in float32; float64 where rounding could decide."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from selection.contract import FloatArray, IntArray
from selection.kernels.blocks import block_rows, blocks
from selection.kernels.neighbors import smallest
from selection.strategies.bilaf.held import in_doubt

if TYPE_CHECKING:
    import torch

Float64 = NDArray[np.float64]
_RUN = 256
LARGE = 256  # a smaller class is multiplied in float64


class Sketch:
    """Rows of one class about their mean, in float32 and float64, and what float32 may get wrong.

    |a|^2 + |b|^2 - 2 a.b, summed over runs of `_RUN` terms, errs by at most `unit` (|a| + |b|)^2: `_RUN` / 4 units of
    2^-23 for the products (|a| |b| is at most a quarter of that square), half of one for each run added, and a few for
    the squares and the rounded rows. The root errs by that divided by the distance. Memory of m rows: 12 m d bytes
    and blocks.
    """

    def __init__(self, features: FloatArray, device: str) -> None:
        import torch

        wide = torch.from_numpy(features.astype(np.float64)).to(device)
        wide -= wide.mean(0)
        self.wide = wide
        self.wide_squares = (wide * wide).sum(1)
        self.x, self.squares = wide.float(), self.wide_squares.float()
        self.lengths: Float64 = self.wide_squares.sqrt().cpu().numpy()
        d = features.shape[1]
        self.unit = (min(d, _RUN) / 4 + d / _RUN + 8) * 2.0**-23
        self.sums: Float64 = np.zeros(len(features))
        self.nearest: Float64 = np.full(len(features), np.inf)

    def __len__(self) -> int:
        return len(self.x)

    def exact(self, rows: IntArray) -> Float64:
        """(m, t) float64 distances of all rows of the class to a few."""
        import torch

        some = torch.from_numpy(rows).to(self.wide.device)
        d2 = torch.addmm(self.wide_squares[some].unsqueeze(0), self.wide, self.wide[some].T, alpha=-2.0)
        d2 = d2.add_(self.wide_squares.unsqueeze(1)).clamp_(min=0.0).sqrt_()
        d2[some, torch.arange(len(some), device=some.device)] = 0.0
        found: Float64 = d2.cpu().numpy()
        return found

    def between(self, rows: torch.Tensor, right: torch.Tensor, squares: torch.Tensor) -> torch.Tensor:
        """(m, k) float32 distances of some rows of the class to rows `right` (k, d) of it."""
        left = self.x[rows]
        d2 = self.squares[rows].unsqueeze(1) + squares
        for run in blocks(right.shape[1], _RUN):
            d2.addmm_(left[:, run], right[:, run].T, alpha=-2.0)
        return d2.clamp_(min=0.0).sqrt_()

    def error(self, square: Float64, least: Float64) -> Float64:
        """How far a distance may be off: `square` bounds (|a| + |b|)^2, `least` the distance from below."""
        e = 1.05 * self.unit * square
        return np.asarray(e / np.maximum(least, np.sqrt(e) + 1e-300))

    def exact_means(self, rows: IntArray, among: IntArray) -> Float64:
        """Mean distance of each of a few `rows` to all of `among`, in float64."""
        out: Float64 = np.empty(len(rows))
        for part in blocks(len(rows), block_rows(16 * len(self))):
            out[part] = self.exact(rows[part])[among].mean(0)
        return out

    def nearest_of(self, row: int, among: IntArray, count: int) -> IntArray:
        """Places in `among` of the `count` rows nearest to `row`, itself first if there; the set is what counts."""
        import torch

        squares = self.squares[row] + self.squares - 2.0 * (self.x @ self.x[row])
        d2: Float64 = squares.double().cpu().numpy()[among]
        d2[among == row] = -1.0
        unit = (self.x.shape[1] / 4 + 8) * 2.0**-23  # a plain sum
        error = unit * (self.lengths[row] + self.lengths[among]) ** 2
        doubtful = np.flatnonzero(in_doubt(d2, error, count) & (among != row))
        gaps = self.wide[torch.from_numpy(among[doubtful])] - self.wide[row]
        d2[doubtful] = (gaps * gaps).sum(1).cpu().numpy()
        return np.argsort(d2, kind="stable")[:count]


def order_by_density(sketch: Sketch, core: int, inner: float, neighbors: int, kept: int) -> IntArray:
    """Positions of a class from its dense middle outwards, in rings, as `boundary.dense_first` orders them.

    Which rows a ring takes, and which are among the first `kept`, is decided in float64 where float32 leaves doubt;
    rows after `kept` keep float32's order. Leaves in the sketch each row's sum of distances
    to the `kept` (rows among these) and to its nearest. Each pair is multiplied once, those of a row inside a ring or
    of a kept row with noise twice: about 1.3 m^2 d flops.
    """
    import torch

    m = len(sketch)
    ring = max(1, int(inner * m))
    near = torch.full((m, neighbors), torch.inf, device=sketch.x.device)
    sums = torch.zeros(m, dtype=torch.float64, device=sketch.x.device)
    least = torch.full((m,), torch.inf, device=sketch.x.device)
    outside = np.ones(m, bool)
    order: IntArray = np.empty(0, np.int64)
    density = sketch.exact(np.array([core]))[:, 0]
    while len(order) < m:
        rows = np.flatnonzero(outside)
        fresh = rows[np.argsort(density[rows], kind="stable")[:ring]]
        order = np.asarray(np.concatenate([order, fresh]))
        outside[fresh] = False
        rows = np.flatnonzero(outside)
        _absorb(sketch, fresh, rows, near, sums, least)
        if len(rows):
            listed: Float64 = near[torch.from_numpy(rows)].double().cpu().numpy()
            listed = listed[:, : min(neighbors, len(order))]
            density[rows] = listed.mean(1)
            cuts = [c for c in (ring, kept - len(order)) if 0 < c <= ring and c < len(rows)]
            _settle(sketch, rows, order, listed, density, cuts)
    _forget(sketch, order[kept:], order[:kept], sums)
    sketch.sums, sketch.nearest = sums.cpu().numpy(), least.double().cpu().numpy()
    return order


def _absorb(
    sketch: Sketch, fresh: IntArray, outside: IntArray, near: torch.Tensor, sums: torch.Tensor, least: torch.Tensor
) -> None:
    """Distances of `fresh` to itself and to the rows outside: into the sums of both, and the outside rows' lists.

    Those to the rows that were inside before were measured when these were fresh.
    """
    import torch

    inner, rows = (torch.from_numpy(some).to(sketch.x.device) for some in (fresh, np.concatenate([fresh, outside])))
    right, squares = sketch.x[inner], sketch.squares[inner]
    for part in blocks(len(rows), block_rows(8 * len(fresh))):
        some = rows[part]
        between = sketch.between(some, right, squares)
        own = torch.arange(part.start, max(part.start, min(part.stop, len(fresh))), device=some.device)
        between[own - part.start, own] = torch.inf
        least[some] = torch.minimum(least[some], between.amin(1))
        least[inner] = torch.minimum(least[inner], between.amin(0))
        between[own - part.start, own] = 0.0
        sums[inner] += between.sum(0, dtype=torch.float64)
        beyond = some[len(own) :]
        if len(beyond):
            apart = between[len(own) :]
            sums[beyond] += apart.sum(1, dtype=torch.float64)
            listed = torch.cat([near[beyond], smallest(apart, min(near.shape[1], len(fresh)))], 1)
            near[beyond] = smallest(listed, near.shape[1])


def _forget(sketch: Sketch, noise: IntArray, retained: IntArray, sums: torch.Tensor) -> None:
    """Take the distances to `noise` out of the sums of the `retained`."""
    import torch

    gone, kept = (torch.from_numpy(some).to(sketch.x.device) for some in (noise, retained))
    if not len(gone):
        return
    right, squares = sketch.x[gone], sketch.squares[gone]
    for part in blocks(len(kept), block_rows(8 * len(noise))):
        sums[kept[part]] -= sketch.between(kept[part], right, squares).sum(1, dtype=torch.float64)


def _settle(
    sketch: Sketch, rows: IntArray, inside: IntArray, listed: Float64, density: Float64, cuts: list[int]
) -> None:
    """Replace float32 densities that might fall on the wrong side of a cut (a count of rows) by float64 ones."""
    if not cuts:
        return
    listed = np.sort(listed, axis=1)
    error = sketch.error((2 * sketch.lengths[rows] + listed[:, -1]) ** 2, listed[:, 0])
    found = density[rows]
    doubtful = np.zeros(len(rows), bool)
    for cut in cuts:
        doubtful |= in_doubt(found, error, cut)
    some = rows[doubtful]
    k = listed.shape[1]
    for part in blocks(len(some), block_rows(16 * len(sketch))):
        away = sketch.exact(some[part])[inside].T
        density[some[part]] = np.partition(away, k - 1, axis=1)[:, :k].mean(1)


def mean_errors(sketch: Sketch, rows: IntArray) -> Float64:
    """How far the mean float32 distance of each of `rows` may be off."""
    noise = np.setdiff1d(np.arange(len(sketch)), rows)  # measured into the sums and once more out of them
    a, b = sketch.lengths[rows], np.concatenate([sketch.lengths, sketch.lengths[noise]])
    square = a * a + 2 * a * b.mean() + float((b * b).mean())
    scale = len(b) / max(1, len(rows))  # the mean is over `rows`, a part of the class
    return sketch.error(square * scale, np.minimum(sketch.nearest[rows], 1e300))

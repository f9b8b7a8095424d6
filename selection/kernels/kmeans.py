"""Seeded k-means: D^2 start on a sample, Lloyd by blocked GEMMs, no rows x clusters matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from selection.contract import FloatArray, IntArray
from selection.kernels.blocks import block_rows, blocks, tensor
from selection.kernels.top import Halves, best_center, halve, halve_blocks, shortlists

if TYPE_CHECKING:
    import torch

SAMPLE_PER_CLUSTER = 20
SEEDS_PER_CLUSTER = 8
SAMPLE_AT_LEAST = 4096
_KEEP = 256 << 20  # bytes of rounded rows that are kept from one pass to the next
_AT_ONCE = 8  # after the first draws, this part of the centers there is drawn together


@dataclass(frozen=True, slots=True)
class Clustering:
    """centers : (k, d) float32. assigned : (n,) int64 in 0..k-1. squared : (n,) to the own center. sizes : (k,)."""

    centers: NDArray[np.float32]
    assigned: IntArray
    squared: NDArray[np.float32]
    sizes: IntArray


def kmeans(
    features: FloatArray,
    k: int,
    rng: np.random.Generator,
    *,
    iterations: int = 3,
    sample_iterations: int = 4,
    unit: bool = False,
    block_bytes: int | None = None,
    device: str = "cpu",
) -> Clustering:
    """Cluster (n, d) rows into min(k, n) clusters, none empty where at least k rows differ.

    The start is D^2 sampling (Arthur & Vassilvitskii 2007) on about max(4096, 8 k) rows, in growing draws, then
    `sample_iterations` of Lloyd on that sample; `iterations` over all rows follow (each 2 n k d flops), and a last
    assignment. With `unit` each row is scaled to length 1 on the fly. An empty cluster takes the row farthest from
    its center. Differs from full Lloyd in that it need not converge: selection does not gain from it.
    """
    n = len(features)
    k = min(k, n)
    if k == 0:
        return Clustering(
            np.empty((0, features.shape[1]), np.float32),
            np.empty(0, np.int64),
            np.empty(0, np.float32),
            np.empty(0, np.int64),
        )
    take = min(n, max(SAMPLE_AT_LEAST, SAMPLE_PER_CLUSTER * k))
    whole = take == n
    picked = np.arange(n) if whole else np.sort(rng.choice(n, take, replace=False))
    sample = _rows(features[picked], unit, device)
    seeds = sample[:: max(1, len(sample) // max(SAMPLE_AT_LEAST, SEEDS_PER_CLUSTER * k))]
    centers = seeds[_spread_start(seeds, k, rng)].clone()
    source = _Source(features, unit, device, block_bytes, kept={} if 2 * features.size <= _KEEP else None)
    small = _Source(features[picked], unit, device, block_bytes, sample, _halves_of(sample, k))
    for _ in range(sample_iterations + (iterations if whole else 0)):
        centers, moved = _lloyd(small, centers)
        if not moved:
            break
    for _ in range(0 if whole else iterations):
        centers, moved = _lloyd(source, centers)
        if not moved:
            break
    assigned, squared = _assign(small if whole else source, centers)
    assigned, squared = _fill_empty(assigned, squared, k)
    return Clustering(centers.cpu().numpy(), assigned, squared, np.bincount(assigned, minlength=k))


@dataclass(frozen=True, slots=True)
class _Source:
    """Rows of one k-means; `held` are they as float32 tensors, with `halves` of them, where several passes follow.

    kept : the halves of each block from the first pass over all rows to the next.
    """

    features: FloatArray
    unit: bool
    device: str
    block_bytes: int | None
    held: torch.Tensor | None = None
    halves: Halves | None = None
    kept: dict[int, Halves] | None = None

    def parts(self, k: int) -> list[slice]:
        n, d = self.features.shape
        return list(blocks(n, block_rows(4 * (k + d), self.block_bytes)))

    def block(self, part: slice) -> torch.Tensor:
        return _rows(self.features[part], self.unit, self.device) if self.held is None else self.held[part]

    def best(self, part: slice, x: torch.Tensor, centers: _Centers) -> tuple[torch.Tensor, torch.Tensor]:
        """The largest x.c - |c|^2 / 2 of each row, and its center."""
        if centers.halves is None:
            return best_center(x, centers.rows, centers.bias, None)
        return best_center(x, centers.rows, centers.bias, (self._halved(part, x), centers.halves))

    def _halved(self, part: slice, x: torch.Tensor) -> Halves:
        if self.halves is not None:
            return self.halves.part(part)
        if self.kept is None:
            return halve(x)
        if part.start not in self.kept:
            self.kept[part.start] = halve(x)
        return self.kept[part.start]


@dataclass(frozen=True, slots=True)
class _Centers:
    """Centers (k, d), -|c|^2 / 2 (k,), and their halves where these pay."""

    rows: torch.Tensor
    bias: torch.Tensor
    halves: Halves | None


def _centers(rows: torch.Tensor) -> _Centers:
    short = shortlists(rows.device.type, rows.dtype, rows.shape[1], len(rows))
    return _Centers(rows, -0.5 * (rows * rows).sum(1), halve(rows) if short else None)


def _halves_of(sample: torch.Tensor, k: int) -> Halves | None:
    short = shortlists(sample.device.type, sample.dtype, sample.shape[1], k)
    return halve_blocks(sample) if short else None


def _rows(part: FloatArray, unit: bool, device: str) -> torch.Tensor:
    import torch

    x = tensor(part, device)
    return torch.nn.functional.normalize(x, dim=1) if unit else x


def _spread_start(x: torch.Tensor, k: int, rng: np.random.Generator) -> IntArray:
    """k distinct positions by D^2 sampling.

    The first 16 are the best of 2 + ln k draws each (the greedy form that scikit-learn uses too); after them an eighth
    of those already there is drawn at once.
    """
    n = len(x)
    chosen = [int(rng.integers(n))]
    norms = (x * x).sum(1)
    near = _gap(x, norms, chosen).astype(np.float64)
    free = np.ones(n, bool)
    free[chosen] = False
    while len(chosen) < k:
        draw = min(k - len(chosen), max(1, len(chosen) // _AT_ONCE))
        weights = np.where(free, near, 0.0)
        usable = int(np.count_nonzero(weights))
        if usable < draw:  # fewer different rows than clusters: copies fill the rest
            weights = np.where(free, weights + max(weights.max(), 1.0) * 1e-9, 0.0)
        share = weights / weights.sum()
        if draw == 1:
            drawn = np.unique(rng.choice(n, 2 + int(np.log(k)), p=share))
            best, near = _best_of(x, norms, drawn, near)
            fresh = drawn[[best]]
        else:
            fresh = rng.choice(n, draw, replace=False, p=share)
            np.minimum(near, _gap(x, norms, fresh.tolist()), out=near)
        free[fresh] = False
        chosen.extend(int(row) for row in fresh)
    return np.asarray(chosen, np.int64)


def _best_of(
    x: torch.Tensor, norms: torch.Tensor, drawn: IntArray, near: NDArray[np.float64]
) -> tuple[int, NDArray[np.float64]]:
    """Which of `drawn` leaves the smallest sum of squared distances, and what it leaves: one GEMM for all of them."""
    import torch

    d2 = torch.addmm(norms.unsqueeze(1), x, x[drawn].T, alpha=-2.0).add_(norms[drawn]).clamp_(min=0.0)  # (m, t)
    before = torch.from_numpy(near).to(x.device, torch.float32).unsqueeze(1)
    left = torch.minimum(d2, before)
    best = int(left.sum(0, dtype=torch.float64).argmin())
    return best, left[:, best].double().cpu().numpy()


def _gap(x: torch.Tensor, norms: torch.Tensor, chosen: list[int]) -> NDArray[np.float32]:
    """Squared distance of each row to the nearest of its rows `chosen`: (m, d) -> (m,)."""
    import torch

    low = torch.addmm(norms[chosen].unsqueeze(0), x, x[chosen].T, beta=1.0, alpha=-2.0).min(1).values
    gap: NDArray[np.float32] = (low + norms).clamp_(min=0.0).cpu().numpy()
    return gap


def _assign(
    source: _Source, rows: torch.Tensor, sums: torch.Tensor | None = None
) -> tuple[IntArray, NDArray[np.float32]]:
    """Nearest center of each row and the squared distance to it; adds the rows of each center to `sums` (k, d)."""
    n, k = len(source.features), len(rows)
    assigned, squared = np.empty(n, np.int64), np.empty(n, np.float32)
    centers = _centers(rows)
    for part in source.parts(k):
        x = source.block(part)
        high, at = source.best(part, x, centers)
        if sums is not None:
            sums += _sum_by_cluster(x, at, k)
        assigned[part] = at.cpu().numpy()
        squared[part] = ((x * x).sum(1) - 2.0 * high).clamp_(min=0.0).cpu().numpy()
    return assigned, squared


def _lloyd(source: _Source, centers: torch.Tensor) -> tuple[torch.Tensor, bool]:
    """One iteration: assign, then each center becomes the mean of its rows."""
    import torch

    k = len(centers)
    sums = torch.zeros(centers.shape, dtype=torch.float64, device=centers.device)
    assigned, squared = _assign(source, centers, sums)
    filled, _ = _fill_empty(assigned, squared, k)
    for row in np.flatnonzero(filled != assigned):
        x = source.block(slice(int(row), int(row) + 1)).double()[0]
        sums[assigned[row]] -= x
        sums[filled[row]] += x
    sizes = torch.from_numpy(np.bincount(filled, minlength=k)).to(centers.device).clamp_(min=1)
    fresh = (sums / sizes.unsqueeze(1)).float()
    return fresh, not bool(torch.equal(fresh, centers))


def _sum_by_cluster(x: torch.Tensor, at: torch.Tensor, k: int) -> torch.Tensor:
    """(m, d) rows -> (k, d) sums. A bag a cluster adds whole rows, several threads at once, in row order."""
    import torch

    order = torch.argsort(at, stable=True)
    counts = torch.bincount(at, minlength=k)
    offsets = torch.cumsum(counts, 0) - counts
    return torch.nn.functional.embedding_bag(order, x, offsets, mode="sum")


def _fill_empty(assigned: IntArray, squared: NDArray[np.float32], k: int) -> tuple[IntArray, NDArray[np.float32]]:
    """Give every empty cluster one row, the farthest from its own center in a cluster of several rows."""
    sizes = np.bincount(assigned, minlength=k)
    empty = np.flatnonzero(sizes == 0)
    if not len(empty):
        return assigned, squared
    assigned, squared = assigned.copy(), squared.copy()
    farthest = iter(np.argsort(-squared, kind="stable"))
    for cluster in empty:
        for row in farthest:
            if sizes[assigned[row]] > 1:
                sizes[assigned[row]] -= 1
                assigned[row], squared[row] = cluster, 0.0
                sizes[cluster] += 1
                break
    return assigned, squared

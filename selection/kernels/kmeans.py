"""Seeded k-means: D^2 start on a sample, Lloyd by blocked GEMMs, no rows x clusters matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from selection.contract import FloatArray, IntArray
from selection.kernels.blocks import block_rows, blocks, tensor

if TYPE_CHECKING:
    import torch

SAMPLE_PER_CLUSTER = 10
SAMPLE_AT_LEAST = 4096


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
    sample_iterations: int = 6,
    unit: bool = False,
    block_bytes: int | None = None,
    device: str = "cpu",
) -> Clustering:
    """Cluster (n, d) rows into min(k, n) clusters, none empty where at least k rows differ.

    The start is D^2 sampling (Arthur & Vassilvitskii 2007) on max(4096, 10 k) rows, in growing draws, then
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
    centers = sample[_spread_start(sample, k, rng)].clone()
    rounds = sample_iterations + (iterations if whole else 0)
    for _ in range(rounds):
        centers, moved = _lloyd(_Source(sample.cpu().numpy(), False, device, block_bytes), centers)
        if not moved:
            break
    source = _Source(features, unit, device, block_bytes)
    for _ in range(0 if whole else iterations):
        centers, moved = _lloyd(source, centers)
        if not moved:
            break
    assigned, squared = _assign(source, centers)
    assigned, squared = _fill_empty(assigned, squared, k)
    return Clustering(centers.cpu().numpy(), assigned, squared, np.bincount(assigned, minlength=k))


@dataclass(frozen=True, slots=True)
class _Source:
    features: FloatArray
    unit: bool
    device: str
    block_bytes: int | None

    def parts(self, k: int) -> list[slice]:
        n, d = self.features.shape
        return list(blocks(n, block_rows(4 * (k + d), self.block_bytes)))

    def block(self, part: slice) -> torch.Tensor:
        return _rows(self.features[part], self.unit, self.device)


def _rows(part: FloatArray, unit: bool, device: str) -> torch.Tensor:
    import torch

    x = tensor(part, device)
    return torch.nn.functional.normalize(x, dim=1) if unit else x


def _spread_start(x: torch.Tensor, k: int, rng: np.random.Generator) -> IntArray:
    """k distinct positions by D^2 sampling.

    The first 32 are the best of 2 + ln k draws each (the greedy form that scikit-learn uses too); after them a 16th
    of those already there is drawn at once.
    """
    n = len(x)
    chosen = [int(rng.integers(n))]
    norms = (x * x).sum(1)
    near = _gap(x, norms, chosen).astype(np.float64)
    free = np.ones(n, bool)
    free[chosen] = False
    while len(chosen) < k:
        draw = min(k - len(chosen), max(1, len(chosen) // 16))
        weights = np.where(free, near, 0.0)
        usable = int(np.count_nonzero(weights))
        if usable < draw:  # fewer different rows than clusters: copies fill the rest
            weights = np.where(free, weights + max(weights.max(), 1.0) * 1e-9, 0.0)
        share = weights / weights.sum()
        if draw == 1:
            drawn = np.unique(rng.choice(n, 2 + int(np.log(k)), p=share))
            fresh = drawn[[_best_of(x, norms, drawn, near)]]
        else:
            fresh = rng.choice(n, draw, replace=False, p=share)
        free[fresh] = False
        chosen.extend(int(row) for row in fresh)
        np.minimum(near, _gap(x, norms, fresh.tolist()), out=near)
    return np.asarray(chosen, np.int64)


def _best_of(x: torch.Tensor, norms: torch.Tensor, drawn: IntArray, near: NDArray[np.float64]) -> int:
    """Which of `drawn` leaves the smallest sum of squared distances: one GEMM for all of them."""
    import torch

    d2 = torch.addmm(norms.unsqueeze(1), x, x[drawn].T, alpha=-2.0).add_(norms[drawn])  # (m, t)
    before = torch.from_numpy(near).to(x.device, torch.float32).unsqueeze(1)
    return int(torch.minimum(d2, before).sum(0, dtype=torch.float64).argmin())


def _gap(x: torch.Tensor, norms: torch.Tensor, chosen: list[int]) -> NDArray[np.float32]:
    """Squared distance of each row to the nearest of its rows `chosen`: (m, d) -> (m,)."""
    import torch

    low = torch.addmm(norms[chosen].unsqueeze(0), x, x[chosen].T, beta=1.0, alpha=-2.0).min(1).values
    gap: NDArray[np.float32] = (low + norms).clamp_(min=0.0).cpu().numpy()
    return gap


def _assign(source: _Source, centers: torch.Tensor) -> tuple[IntArray, NDArray[np.float32]]:
    import torch

    n = len(source.features)
    assigned, squared = np.empty(n, np.int64), np.empty(n, np.float32)
    half = -0.5 * (centers * centers).sum(1)
    for part in source.parts(len(centers)):
        x = source.block(part)
        high, at = torch.addmm(half.unsqueeze(0), x, centers.T).max(dim=1)  # (m, d), (k, d) -> (m, k) -> (m,)
        assigned[part] = at.cpu().numpy()
        squared[part] = ((x * x).sum(1) - 2.0 * high).clamp_(min=0.0).cpu().numpy()
    return assigned, squared


def _lloyd(source: _Source, centers: torch.Tensor) -> tuple[torch.Tensor, bool]:
    """One iteration: assign, then each center becomes the mean of its rows."""
    import torch

    k, d = centers.shape
    n = len(source.features)
    sums = torch.zeros((k, d), dtype=torch.float64, device=centers.device)
    assigned, squared = np.empty(n, np.int64), np.empty(n, np.float32)
    half = -0.5 * (centers * centers).sum(1)
    for part in source.parts(k):
        x = source.block(part)
        high, at = torch.addmm(half.unsqueeze(0), x, centers.T).max(dim=1)
        sums += _sum_by_cluster(x, at, k)
        assigned[part] = at.cpu().numpy()
        squared[part] = ((x * x).sum(1) - 2.0 * high).clamp_(min=0.0).cpu().numpy()
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

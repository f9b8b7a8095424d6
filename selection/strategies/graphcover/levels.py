"""Samples of a pool from coarse to fine, each with its graph and what a walk on it reaches from each row."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selection.contract import FloatArray, IntArray
from selection.kernels.blocks import blocks
from selection.kernels.cosine import nearest_by_cosine
from selection.kernels.graph import Projection, knn_graph
from selection.kernels.hashing import hash_rows
from selection.strategies.graphcover.diffusion import Reach, diffuse

FIRST = 16  # rows that the coarsest sample serves: where each reaches `keep` others, so many reach all of it
GROWTH = 4
_LEVELS = 8  # remembered, two large pools: at most 65 MB each below 1,024 picks
_remembered: dict[bytes, Level] = {}


def forget() -> None:
    """Remember no sample: for measurements, and to give the memory back."""
    _remembered.clear()


@dataclass(frozen=True, slots=True, eq=False)
class Walk:
    """How a graph is built and walked: neighbours and dims of `knn_graph`; stay, steps and keep of `diffuse`."""

    neighbors: int
    dims: int
    stay: float
    steps: int
    keep: int
    device: str = "cpu"


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """A sample: ascending pool rows (m,), their unit rows (m, p), what made these, their reach by place in `rows`."""

    rows: IntArray
    unit: NDArray[np.float32]
    projection: Projection
    reach: Reach

    def places(self, features: FloatArray, rows: IntArray) -> IntArray:
        """The place of each of `rows`, or of the row of the sample nearest to it: (t,)."""
        found = np.searchsorted(self.rows, rows).clip(0, len(self.rows) - 1)
        away = self.rows[found] != rows
        if away.any():
            unit = self.projection.apply(features[rows[away]])
            found[away] = nearest_by_cosine(unit, self.unit, 1)[0][:, 0]
        return np.asarray(found, np.int64)


def level_sizes(n: int, keep: int) -> list[int]:
    """Rows of each sample of n rows, the whole pool last; none is more than half of the next."""
    sizes = []
    size = FIRST * keep
    while 2 * size <= n:
        sizes.append(size)
        size *= GROWTH
    return [*sizes, n]


def level_of(features: FloatArray, size: int, walk: Walk) -> Level:
    """The sample of `size` rows, remembered for the last pools of this process.

    The rows of the smallest hashes, so that each sample holds the coarser ones. A queue ranks the same pool after each
    batch of labels, and none of this depends on labels. Samples are told apart by a digest of their bytes; the answer
    is the same with or without the memory.
    """
    n = len(features)
    rows: IntArray = np.arange(n)
    sample = features
    if size < n:
        rows = np.sort(np.argpartition(hash_rows(rows, np.uint64(0)), size)[:size])  # no two hashes are equal
        sample = features[rows]
    digest = hashlib.sha256(repr((features.shape, str(features.dtype), walk)).encode())
    for part in blocks(len(sample), 512):
        digest.update(np.ascontiguousarray(sample[part]).data)
    key = digest.digest()
    found = _remembered.pop(key, None)
    if found is None:
        graph = knn_graph(sample, walk.neighbors, walk.dims, 3.0, walk.device)
        found = Level(rows, graph.unit, graph.projection, diffuse(graph, walk.stay, walk.steps, walk.keep))
    _remembered[key] = found  # newest last
    while len(_remembered) > _LEVELS:
        del _remembered[next(iter(_remembered))]
    return found

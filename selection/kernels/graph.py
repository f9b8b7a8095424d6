"""The pool's neighbourhood graph: exact nearest rows by cosine, and the normalised matrix on which labels spread."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selection.contract import BadParameter, BadVector, FloatArray, IntArray
from selection.kernels.cosine import nearest_by_cosine

Float32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Projection:
    """What turns raw features into the unit rows on which the graph lives; keep it to attach rows that come later.

    mean, scale : (d,) float32, of the pool; basis : (d, p) float32 or None when d was small enough to be kept.
    """

    mean: Float32
    scale: Float32
    basis: Float32 | None

    def apply(self, features: FloatArray, block: int = 8192) -> Float32:
        """(m, d) raw features -> (m, p) float32 unit rows (a row at the pool's mean becomes the zero row)."""
        width = len(self.mean) if self.basis is None else self.basis.shape[1]
        onto = None if self.basis is None else self.basis / self.scale[:, None]
        out = np.empty((len(features), width), np.float32)
        for start in range(0, len(features), block):
            part = np.asarray(features[start : start + block], np.float32) - self.mean
            out[start : start + len(part)] = part / self.scale if onto is None else part @ onto
        norms = np.linalg.norm(out, axis=1, keepdims=True)
        np.divide(out, norms, out=out, where=norms > 1e-12)
        out[norms[:, 0] <= 1e-12] = 0
        return out


@dataclass(frozen=True, eq=False)
class SparseGraph:
    """k nearest rows of each row, and S = D^-1/2 W D^-1/2 of the symmetrised weights, as CSR arrays.

    indices : (n, k) int32 nearest rows, nearest first, the row itself left out; k = min(asked, n - 1).
    weights : (n, k) float32, max(cos, 0) ** power of each of them.
    indptr (n + 1,) int64, columns (nnz,) int32, values (nnz,) float32 : S; a row without weight is empty.
    unit : (n, p) float32, the unit rows themselves; `projection` made them.
    """

    indices: NDArray[np.int32]
    weights: Float32
    indptr: IntArray
    columns: NDArray[np.int32]
    values: Float32
    unit: Float32
    projection: Projection
    power: float

    def __len__(self) -> int:
        return len(self.indices)

    @cached_property
    def matrix(self) -> Any:
        """S as a `scipy.sparse.csr_array` of shape (n, n); shares the arrays."""
        from scipy.sparse import csr_array

        n = len(self)
        return csr_array((self.values, self.columns, self.indptr), shape=(n, n))

    def propagate(self, mass: FloatArray) -> FloatArray:
        """S @ mass for mass (n, c) or (n,): one step of spreading. Cost nnz * c."""
        out: FloatArray = self.matrix @ mass
        return out

    def attach(self, features: FloatArray, k: int | None = None) -> tuple[NDArray[np.int32], Float32]:
        """Nearest pool rows (m, k) and weights (m, k) of rows (m, d) that came later; the graph stays as it is."""
        unit = self.projection.apply(features)
        wanted = min(self.indices.shape[1] if k is None else k, len(self))
        rows, cosines = nearest_by_cosine(unit, self.unit, max(wanted, 1))
        return rows, np.maximum(cosines, 0) ** np.float32(self.power)


def knn_graph(
    features: FloatArray, k: int = 15, dims: int = 128, power: float = 3.0, device: str = "cpu"
) -> SparseGraph:
    """Build the graph of a pool: standardise by the pool, PCA to `dims`, unit rows, k nearest by cosine.

    features : (n, d) float, finite. An edge stands if either end names the other; its weight is max(cos, 0) ** power.
    Copies of one row are neighbours of each other with weight 1: leave copies out first if they must not vote twice.
    device : torch device that seeks the neighbours; the projection runs on the CPU.

    Raises `BadParameter` for k, dims < 1 or power <= 0, `BadVector` if a row is not finite. Cost n d^2 + n^2 dims,
    memory O(n (k + dims) + tile); `nearest_by_cosine` says how the top k are found.
    """
    if k < 1 or dims < 1 or not power > 0:
        raise BadParameter(f"knn_graph needs k >= 1, dims >= 1 and power > 0, got {k}, {dims}, {power}")
    projection = fit_projection(features, dims)
    unit = projection.apply(features)
    k = min(k, len(unit) - 1)
    rows, cosines = nearest_by_cosine(unit, unit, max(k, 0), skip_self=True, device=device)
    weights = np.maximum(cosines, 0) ** np.float32(power)
    indptr, columns, values = _normalised(rows, weights)
    return SparseGraph(rows, weights, indptr, columns, values, unit, projection, power)


def fit_projection(features: FloatArray, dims: int, block: int = 8192) -> Projection:
    """Mean and deviation of the pool, and its leading `dims` directions after standardising (none if d <= dims).

    Sums and products of a block are in float32, those over blocks in float64.
    """
    from scipy.linalg import eigh

    n, d = features.shape
    total: NDArray[np.float64] = np.zeros(d)
    for start in range(0, n, block):
        part = np.asarray(features[start : start + block], np.float32)
        more = np.ones(len(part), np.float32) @ part
        if not np.isfinite(more).all():
            bad = np.flatnonzero(~np.isfinite(part).all(1))
            if len(bad):
                raise BadVector(start + int(bad[0]), "features")
            more = part.sum(0, dtype=np.float64)
        total += more
    mean = (total / max(n, 1)).astype(np.float32)
    scatter: NDArray[np.float64] = np.zeros((d, d) if d > dims else d)
    for start in range(0, n, block):
        gap = np.asarray(features[start : start + block], np.float32) - mean
        scatter += gap.T @ gap if d > dims else (gap * gap).sum(0)
    spread = np.sqrt((np.diagonal(scatter) if d > dims else scatter) / max(n, 1))
    scale = np.where(spread > 1e-12 * (1 + np.abs(mean)), spread, 1).astype(np.float32)
    if d <= dims:
        return Projection(mean, scale, None)
    scatter /= np.outer(scale, scale)
    basis = eigh(scatter, subset_by_index=(d - dims, d - 1), overwrite_a=True, check_finite=False)[1]
    return Projection(mean, scale, np.ascontiguousarray(basis[:, ::-1], np.float32))  # the largest first


def _normalised(rows: NDArray[np.int32], weights: Float32) -> tuple[IntArray, NDArray[np.int32], Float32]:
    """CSR arrays of D^-1/2 W D^-1/2 where W holds each edge both ways with its larger weight."""
    from scipy.sparse import csr_array

    n, k = rows.shape
    indptr = np.arange(0, n * k + 1, max(k, 1), dtype=np.int64) if k else np.zeros(n + 1, np.int64)
    directed = csr_array((weights.ravel(), rows.ravel(), indptr), shape=(n, n))
    both = directed.maximum(directed.T.tocsr()).tocsr()
    both.eliminate_zeros()
    both.sort_indices()
    degree = np.asarray(both.sum(1), np.float64).ravel()
    root = np.where(degree > 0, 1 / np.sqrt(np.maximum(degree, 1e-300)), 0)
    counts = np.diff(both.indptr)
    values = both.data * np.repeat(root, counts) * root[both.indices]
    return both.indptr.astype(np.int64), both.indices.astype(np.int32), values.astype(np.float32)

"""Squared Euclidean distances between many rows and some centers, in blocks: never rows x rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from selection.contract import FloatArray, IntArray
from selection.kernels.blocks import block_rows, blocks, tensor

if TYPE_CHECKING:
    import torch

__all__ = [
    "blocks",
    "distances_to",
    "exact_distances_to",
    "mean_row",
    "nearest",
    "pairwise",
    "rounding",
    "squared_norms",
    "unit_rows",
]


def squared_norms(features: FloatArray, *, device: str = "cpu") -> NDArray[np.float32]:
    """Squared length of each row: (n, d) -> (n,). One pass over the features."""
    n, d = features.shape
    out = np.empty(n, np.float32)
    for part in blocks(n, block_rows(4 * d)):
        x = tensor(features[part], device)
        out[part] = (x * x).sum(1).cpu().numpy()
    return out


def unit_rows(features: FloatArray, *, device: str = "cpu") -> NDArray[np.float32]:
    """Rows scaled to length 1, float32 (n, d); zero rows stay zero. The one function here that copies the pool."""
    n, d = features.shape
    out = np.empty((n, d), np.float32)
    for part in blocks(n, block_rows(4 * d)):
        x = tensor(features[part], device)
        length = x.norm(dim=1, keepdim=True)  # (m, d) -> (m, 1)
        length[length == 0] = 1.0
        out[part] = (x / length).cpu().numpy()
    return out


def mean_row(features: FloatArray, *, device: str = "cpu") -> NDArray[np.float64]:
    """Mean of the rows, (n, d) -> (d,), summed in float64 over blocks."""
    import torch

    n, d = features.shape
    total = np.zeros(d)
    for part in blocks(n, block_rows(4 * d)):
        total += tensor(features[part], device).sum(0, dtype=torch.float64).cpu().numpy()
    return total / max(n, 1)


def squared_to(x: torch.Tensor, centers: torch.Tensor, center_norms: torch.Tensor) -> torch.Tensor:
    """(m, d) and (k, d) -> (m, k) squared distances by one GEMM, clamped at 0."""
    import torch

    d2 = torch.addmm(center_norms.unsqueeze(0), x, centers.T, beta=1.0, alpha=-2.0)
    return d2.add_((x * x).sum(1, keepdim=True)).clamp_(min=0.0)


def nearest(
    features: FloatArray,
    centers: NDArray[Any],
    *,
    block_bytes: int | None = None,
    device: str = "cpu",
) -> tuple[IntArray, NDArray[np.float32]]:
    """Nearest of (k, d) `centers` for each of (n, d) rows: (index (n,), squared distance (n,)).

    float32 GEMM of blocks, top-1 kept: 2 n k d flops, memory of one block. Equal distances go to the lowest index.
    """
    import torch

    n, d = features.shape
    index, best = np.empty(n, np.int64), np.empty(n, np.float32)
    c = tensor(centers, device)
    c_norms = (c * c).sum(1)
    for part in blocks(n, block_rows(4 * (len(centers) + d), block_bytes)):
        x = tensor(features[part], device)
        # |x|^2 does not change the order of the centers, so it is added to the winners only.
        scores = torch.addmm(c_norms.unsqueeze(0), x, c.T, beta=1.0, alpha=-2.0)  # (m, d), (k, d) -> (m, k)
        low, at = scores.min(dim=1)
        index[part] = at.cpu().numpy()
        best[part] = (low + (x * x).sum(1)).clamp_(min=0.0).cpu().numpy()
    return index, best


def distances_to(features: FloatArray, row_vector: NDArray[Any], *, device: str = "cpu") -> NDArray[np.float32]:
    """Squared distance of each row to one vector: (n, d), (d,) -> (n,), float32, one pass."""
    n, d = features.shape
    out = np.empty(n, np.float32)
    center = tensor(np.asarray(row_vector).reshape(1, d), device)
    for part in blocks(n, block_rows(8 * d)):
        gap = tensor(features[part], device) - center
        out[part] = (gap * gap).sum(1).cpu().numpy()
    return out


def exact_distances_to(features: FloatArray, row_vector: NDArray[Any]) -> NDArray[np.float64]:
    """As `distances_to`, in float64 and by differences: for decisions, on few rows."""
    n, d = features.shape
    out = np.empty(n)
    center = np.asarray(row_vector, np.float64)
    for part in blocks(n, block_rows(16 * d)):
        gap = features[part].astype(np.float64) - center
        out[part] = np.einsum("nd,nd->n", gap, gap)
    return out


def pairwise(left: NDArray[Any], right: NDArray[Any]) -> NDArray[np.float64]:
    """(m, d), (k, d) -> (m, k) squared distances in float64 by one GEMM; for m and k that are small.

    Both are shifted by the mean of `right` first, as a common offset would cost digits.
    """
    shift = right.mean(0, dtype=np.float64)
    a, b = left - shift, right - shift
    d2 = np.einsum("md,md->m", a, a)[:, None] + np.einsum("kd,kd->k", b, b)[None] - 2.0 * (a @ b.T)
    return np.asarray(np.maximum(d2, 0.0))


def rounding(norms: NDArray[np.floating], near: NDArray[np.floating], d: int) -> NDArray[np.float64]:
    """How far a float32 GEMM's nearest squared distance may be from the true one, for each row.

    norms : (n,) squared norms of the rows. near : (n,) their squared distances to the nearest center. The dot product
    of d terms errs by at most d u |x||c| (u = 2^-24), and the nearest center has |c| <= |x| + sqrt(near).
    """
    length = np.sqrt(np.asarray(norms, np.float64))
    reach = length + np.sqrt(np.asarray(near, np.float64))
    return np.asarray((d + 16) * 2.0**-23 * reach * reach)

"""Exact distances to the nearest rows of a group, in blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from selection.contract import IntArray
from selection.kernels.blocks import block_rows, blocks

if TYPE_CHECKING:
    import torch

Float32 = NDArray[np.float32]


def neighbor_distances(x: torch.Tensor, k: int, *, among: IntArray | None = None) -> Float32:
    """Squared distances from each row of x (n, d) to its k nearest other rows, ascending: (n, k).

    x : float32, about its mean, as a common offset costs digits. among : ascending positions that may be neighbours,
    (m,); all where None. A row is left out of its own list by its position, not by distance 0, so that a copy of it
    counts. k must be at most m - 1. Cost: n m d multiply-adds (half of that on a CPU where one block holds all pairs:
    numpy knows a product with its own transpose), memory of one block of m columns.
    """
    n = len(x)
    among = np.arange(n) if among is None else among
    if not 0 <= k < max(len(among), 1):
        raise ValueError(f"k={k} neighbours of {len(among)} rows: k must be between 0 and one less than the rows")
    out = np.empty((n, k), np.float32)
    if k == 0:
        return out
    others = x if len(among) == n else x[_places(among, x)]
    norms = (x * x).sum(1)
    near = norms[_places(among, x)]
    for part in blocks(n, block_rows(4 * len(among))):
        d2 = _products(x[part], others)  # (b, d), (m, d) -> (b, m)
        d2.mul_(-2.0).add_(norms[part].unsqueeze(1)).add_(near)
        own = np.flatnonzero((among >= part.start) & (among < part.stop))
        d2[_places(among[own] - part.start, x), _places(own, x)] = float("inf")
        out[part] = smallest(d2, k).cpu().numpy()
    return np.maximum(out, 0.0)


def _places(rows: IntArray, like: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.from_numpy(rows).to(like.device)


def _products(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    import torch

    if left.device.type == "cpu" and left.data_ptr() == right.data_ptr() and left.shape == right.shape:
        rows = left.numpy()
        return torch.from_numpy(rows @ rows.T)
    return left @ right.T


def smallest(values: torch.Tensor, k: int) -> torch.Tensor:
    """The k smallest of each row, ascending: (m, t) -> (m, k), on the CPU by numpy's partition, as torch is slow."""
    import torch

    if values.device.type != "cpu":
        return values.topk(k, dim=1, largest=False).values
    low = values.numpy() if k == values.shape[1] else np.partition(values.numpy(), k - 1, axis=1)[:, :k]
    return torch.from_numpy(np.sort(low, axis=1))

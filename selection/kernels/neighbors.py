"""Exact nearest neighbours among some rows, in blocks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from selection.contract import FloatArray, IntArray
from selection.kernels.blocks import block_rows, blocks, tensor


def nearest_neighbors(features: FloatArray, k: int, *, device: str = "cpu") -> tuple[IntArray, NDArray[np.float32]]:
    """The k nearest other rows of each row: (positions (n, k), squared distances (n, k)), nearest first.

    A row is left out of its own list by its position, not by distance 0, so that a copy of it counts.
    k must be at most n - 1. Cost: n^2 d multiply-adds, memory of one block of n columns.
    """
    import torch

    n, d = features.shape
    if not 0 <= k < max(n, 1):
        raise ValueError(f"k={k} neighbours of {n} rows: k must be between 0 and n - 1")
    index, squared = np.empty((n, k), np.int64), np.empty((n, k), np.float32)
    if k == 0:
        return index, squared
    x = tensor(features, device)
    x = x - x.mean(0)  # a common offset would cost digits of the distances
    norms = (x * x).sum(1)
    for part in blocks(n, block_rows(4 * n)):
        d2 = torch.addmm(norms.unsqueeze(0), x[part], x.T, beta=1.0, alpha=-2.0)  # (m, n)
        d2.add_(norms[part].unsqueeze(1)).clamp_(min=0.0)
        own = torch.arange(part.start, part.stop, device=d2.device)
        d2[own - part.start, own] = torch.inf
        low, at = d2.topk(k, dim=1, largest=False, sorted=True)
        index[part], squared[part] = at.cpu().numpy(), low.cpu().numpy()
    return index, squared

"""Exact nearest neighbours among some rows, in blocks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from selection.contract import FloatArray, IntArray
from selection.kernels.blocks import block_rows, blocks, tensor


def nearest_neighbors(
    features: FloatArray, k: int, *, among: IntArray | None = None, device: str = "cpu"
) -> tuple[IntArray, NDArray[np.float32]]:
    """The k nearest other rows of each row: (positions (n, k), squared distances (n, k)), nearest first.

    among : ascending positions that may be neighbours, (m,); all where None. A row is left out of its own list by
    its position, not by distance 0, so that a copy of it counts. k must be at most m - 1.
    Cost: n m d multiply-adds, memory of one block of m columns.
    """
    import torch

    n = len(features)
    among = np.arange(n) if among is None else among
    if not 0 <= k < max(len(among), 1):
        raise ValueError(f"k={k} neighbours of {len(among)} rows: k must be between 0 and one less than the rows")
    index, squared = np.empty((n, k), np.int64), np.empty((n, k), np.float32)
    if k == 0:
        return index, squared
    everyone = len(among) == n
    others = tensor(features if everyone else features[among], device)
    shift = others.mean(0)  # a common offset would cost digits of the distances
    others = others - shift
    norms = (others * others).sum(1)
    for part in blocks(n, block_rows(4 * (len(among) + features.shape[1]))):
        x = others[part] if everyone else tensor(features[part], device) - shift
        d2 = torch.addmm(norms.unsqueeze(0), x, others.T, beta=1.0, alpha=-2.0)  # (b, d), (m, d) -> (b, m)
        d2.add_(norms[part].unsqueeze(1) if everyone else (x * x).sum(1, keepdim=True)).clamp_(min=0.0)
        own = np.flatnonzero((among >= part.start) & (among < part.stop))
        d2[torch.from_numpy(among[own] - part.start), torch.from_numpy(own)] = torch.inf
        low, at = d2.topk(k, dim=1, largest=False, sorted=True)
        index[part], squared[part] = among[at.cpu().numpy()], low.cpu().numpy()
    return index, squared

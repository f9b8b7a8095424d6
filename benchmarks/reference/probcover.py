"""ProbCover on a stored edge list, built 500 rows at a time, searched anew for each pick."""

from __future__ import annotations

import numpy as np
import torch


def build(unit: np.ndarray, delta: float) -> tuple[np.ndarray, np.ndarray]:
    """All edges x -> y with distance below delta."""
    x = torch.from_numpy(unit)
    left, right = [], []
    for start in range(0, len(x), 500):
        a, b = (torch.cdist(x[start : start + 500], x) < delta).nonzero(as_tuple=True)
        left.append((a + start).numpy())
        right.append(b.numpy())
    return np.concatenate(left), np.concatenate(right)


def pick(left: np.ndarray, right: np.ndarray, n: int, budget: int) -> list[int]:
    """The largest out-degree; edges into its ball are removed."""
    rows: list[int] = []
    while len(rows) < budget:
        degrees = np.bincount(left, minlength=n)
        if degrees.max(initial=0) == 0:
            break
        rows.append(int(degrees.argmax()))
        covered = right[left == rows[-1]]
        keep = ~np.isin(right, covered)
        left, right = left[keep], right[keep]
    return rows

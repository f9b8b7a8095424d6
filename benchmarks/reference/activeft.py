"""ActiveFT by autograd over the full (n, k) matrix, and its assignment by a full sort of (k, n)."""

from __future__ import annotations

import numpy as np
import torch


def fit(unit: torch.Tensor, start: np.ndarray, iterations: int, tau: float = 0.07, rate: float = 1e-3) -> torch.Tensor:
    """(n, d) unit rows -> (k, d) unit centroids."""
    theta = torch.nn.Parameter(unit[torch.from_numpy(start)].clone())
    adam = torch.optim.Adam([theta], lr=rate)
    for _ in range(iterations):
        centers = torch.nn.functional.normalize(theta, dim=1)
        near, at = torch.exp(unit @ centers.T / tau).max(dim=1)  # the graph keeps (n, k) more than once
        crowd = torch.exp(centers.detach() @ centers.T / tau).sum(0)
        loss = -torch.log(near / (near + crowd[at])).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    return torch.nn.functional.normalize(theta.detach(), dim=1)


def assign(unit: torch.Tensor, centers: torch.Tensor) -> list[int]:
    """Each centroid in turn takes its most similar row that is not taken."""
    order = torch.sort(centers @ unit.T, dim=1, descending=True).indices  # (k, n)
    taken: list[int] = []
    for j in range(len(centers)):
        for row in order[j].tolist():
            if row not in taken:
                taken.append(row)
                break
    return taken

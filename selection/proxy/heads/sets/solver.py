"""Many penalised binary logistic regressions on the same rows at once; each class of each fold is a column.

All columns share the two products with the rows, keep their own step and curvature, and leave when they are done.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

MEMORY = 5
MAX_HALVINGS = 12
LEAVE = 0.75  # share of columns at work below which the others are taken out


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Q regressions on shared rows.

    inputs : (m, r) float, rotated so that their mean outer product is diagonal; spectrum : (r,) that diagonal.
    targets : (m, Q) 0 or 1. shares : (m, Q) weight of each row in a column's loss, columns sum to 1, 0 = held out.
    """

    inputs: Tensor
    spectrum: Tensor
    targets: Tensor
    shares: Tensor

    def some(self, which: Tensor) -> Columns:
        """The columns `which`, a mask or indices (Q',)."""
        return Columns(self.inputs, self.spectrum, self.targets[:, which], self.shares[:, which])


def solve(columns: Columns, l2: float, start: Tensor, *, iterations: int = 60, tolerance: float = 1e-3) -> Tensor:
    """Minimise weighted mean cross-entropy + l2/2 |w|^2 of every column; the last row is the bias, not penalised.

    start : (r + 1, Q). Returns the same shape. L-BFGS around a diagonal Hessian: in the rotated rows it is
    mean p (1 - p) of a column times the spectrum + l2, so that the first step is close to Newton's for rare and for
    frequent classes. A column whose next step promises less than `tolerance` of its loss takes it untried and is done.
    Cost: two GEMMs of m x r x (columns at work) a step.
    """
    import torch

    out = start.clone()
    at = torch.arange(start.shape[1], device=start.device)
    state = start
    loss, gradient, curvature = _evaluate(columns, l2, state)
    newton = _inverse(columns, l2, curvature)
    history: list[tuple[Tensor, Tensor, Tensor]] = []
    for _ in range(iterations):
        direction = _direction(gradient, history, newton)
        slope = (direction * gradient).sum(0)  # (Q,)
        done = (slope > -2 * tolerance * loss.clamp_min(0.01)) & (slope <= 0)
        out[:, at[done]] = (state + direction)[:, done]  # a quadratic falls by half its slope
        keep = ~done
        if not bool(keep.any()):
            return out
        if int(keep.sum()) < LEAVE * len(keep):
            at, columns, newton = at[keep], columns.some(keep), newton[:, keep]
            state, loss, gradient, direction, slope = (
                part[..., keep] for part in (state, loss, gradient, direction, slope)
            )
            history = [(s[:, keep], y[:, keep], sy[keep]) for s, y, sy in history]
            done = done[keep]
        uphill = slope >= 0
        direction = torch.where(uphill, -newton * gradient, direction)
        slope = torch.where(uphill, -(newton * gradient**2).sum(0), slope)
        moved, new_loss, new_gradient = _search(columns, l2, state, loss, gradient, direction, slope)
        s, y = moved - state, new_gradient - gradient
        history = [*history[-MEMORY + 1 :], (s, y, (s * y).sum(0))]
        stuck = bool((new_loss >= loss)[~done].all())
        state, loss, gradient = moved, new_loss, new_gradient
        out[:, at[~done]] = state[:, ~done]
        if stuck:
            break
    return out


def _evaluate(columns: Columns, l2: float, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Loss (Q,), gradient (r + 1, Q) and mean curvature p (1 - p) of each column (Q,)."""
    import torch

    inputs, y, share = columns.inputs, columns.targets, columns.shares
    weights = state[:-1]
    logits = torch.addmm(state[-1], inputs, weights)  # (m, r), (r, Q) -> (m, Q)
    loss = ((torch.nn.functional.softplus(logits) - y * logits) * share).sum(0) + l2 / 2 * (weights**2).sum(0)
    p = logits.sigmoid_()
    curvature = (p * (1 - p) * share).sum(0).clamp_min(1e-4)
    residual = p.sub_(y).mul_(share)
    gradient = torch.cat([(residual.T @ inputs).T + l2 * weights, residual.sum(0, keepdim=True)])
    return loss, gradient, curvature


def _inverse(columns: Columns, l2: float, curvature: Tensor) -> Tensor:
    """Diagonal of the inverse Hessian (r + 1, Q)."""
    import torch

    return torch.cat([1 / (columns.spectrum[:, None] * curvature + l2), 1 / curvature[None]])


def _direction(gradient: Tensor, history: list[tuple[Tensor, Tensor, Tensor]], newton: Tensor) -> Tensor:
    """The two-loop recursion (Nocedal 1980) for each column; a pair without curvature is left out."""
    q = gradient.clone()
    alphas = []
    for s, y, sy in reversed(history):
        alpha = ((s * q).sum(0) / sy).where(sy > 0, 0.0)
        q -= alpha * y
        alphas.append(alpha)
    q = newton * q
    if history:
        _, y, sy = history[-1]
        q *= (sy / (y * newton * y).sum(0)).where(sy > 0, 1.0)
    for (s, y, sy), alpha in zip(history, reversed(alphas), strict=True):
        beta = ((y * q).sum(0) / sy).where(sy > 0, 0.0)
        q += (alpha - beta) * s
    return -q


def _search(
    columns: Columns, l2: float, state: Tensor, loss: Tensor, gradient: Tensor, direction: Tensor, slope: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Backtracking from a full step, each column on its own (Armijo): only those that fail are tried again.

    A column that finds no step stays where it is.
    """
    import torch

    step = 1.0
    moved, new_loss, new_gradient = state.clone(), loss.clone(), gradient.clone()
    trying = torch.arange(len(slope), device=slope.device)
    for _ in range(MAX_HALVINGS):
        everything = len(trying) == len(slope)
        part = columns if everything else columns.some(trying)
        there = state[:, trying] + step * direction[:, trying]
        found, slopes, _ = _evaluate(part, l2, there)
        before = loss[trying]
        fits = found <= before + 1e-4 * step * slope[trying] + 1e-7 * before  # float32 cannot tell less
        won = trying[fits]
        moved[:, won], new_loss[won], new_gradient[:, won] = there[:, fits], found[fits], slopes[:, fits]
        trying = trying[~fits]
        if not len(trying):
            break
        step /= 2
    return moved, new_loss, new_gradient

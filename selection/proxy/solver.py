"""Many penalised multinomial logistic regressions on the same rows at once, by one L-BFGS whose problems share GEMMs.

Cross-validation asks for the same fit on five overlapping halves of the same matrix. Five masks over one matrix cost
one pass over it instead of five, and each problem keeps its own curvature and its own step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

MEMORY = 5
MAX_HALVINGS = 12


@dataclass(frozen=True, slots=True, eq=False)
class Problems:
    """P regressions on shared rows.

    inputs : (m, r) rotated features, columns orthogonal, so that `spectrum` preconditions them.
    targets : (m,) class, 0..n_classes-1.
    masks : (m, P) 1 where a row belongs to a problem's training set.
    spectrum : (r,) mean square of each column.
    """

    inputs: Tensor
    targets: Tensor
    masks: Tensor
    spectrum: Tensor
    n_classes: int


def solve(problems: Problems, l2: float, start: Tensor, *, iterations: int = 60, tolerance: float = 1e-3) -> Tensor:
    """Minimise mean cross-entropy + l2/2 |W|^2 of every problem; the last row of W is the bias, not penalised.

    start : (r + 1, P, c), unscaled. Returns the same shape. Stops when no problem's loss falls by more than
    `tolerance` of itself. Cost per step: two GEMMs of m x r x (P c).
    """
    import torch

    # Hessian along column j is about spectrum_j / c + l2: in these units all directions curve alike
    curvature = problems.spectrum / problems.n_classes + l2
    scale = torch.cat([curvature.rsqrt(), curvature.new_ones(1)])[:, None, None]
    state = start / scale
    loss, gradient = _evaluate(problems, l2, scale, state)
    history: list[tuple[Tensor, Tensor, Tensor]] = []
    for _ in range(iterations):
        direction = _direction(gradient, history)
        slope = (direction * gradient).sum((0, 2))  # (P,)
        uphill = slope >= 0
        direction = torch.where(uphill[None, :, None], -gradient, direction)
        slope = torch.where(uphill, -(gradient**2).sum((0, 2)), slope)
        moved, new_loss, new_gradient = _search(problems, l2, scale, state, loss, gradient, direction, slope)
        s, y = moved - state, new_gradient - gradient
        sy = (s * y).sum((0, 2))
        history = [*history[-MEMORY + 1 :], (s, y, sy)]
        fell = (loss - new_loss) / loss.clamp_min(0.01)
        state, loss, gradient = moved, new_loss, new_gradient
        if not bool((fell > tolerance).any()):
            break
    return state * scale


def _evaluate(problems: Problems, l2: float, scale: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """Loss (P,) and gradient (r + 1, P, c) in preconditioned units."""
    import torch

    r, (m, n_problems), c = len(scale) - 1, problems.masks.shape, problems.n_classes
    weights = state * scale
    flat = weights.reshape(r + 1, -1)
    logits = torch.addmm(flat[r], problems.inputs, flat[:r]).view(m, n_problems, c)
    residual = torch.softmax(logits, dim=2)
    own = problems.targets[:, None, None].expand(m, n_problems, 1)
    right = residual.gather(2, own)  # (m, P, 1)
    share = problems.masks / problems.masks.sum(0)  # (m, P), columns sum to 1
    penalty = l2 / 2 * (weights[:r] ** 2).sum((0, 2))
    loss = penalty - (right[:, :, 0].clamp_min(1e-30).log() * share).sum(0)
    residual.scatter_(2, own, right - 1)
    residual = residual.mul_(share[:, :, None]).view(m, -1)
    gradient = torch.cat([problems.inputs.T @ residual, residual.sum(0, keepdim=True)]).view_as(state)
    gradient[:r] += l2 * weights[:r]
    return loss, gradient * scale


def _direction(gradient: Tensor, history: list[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """The two-loop recursion (Nocedal 1980) with a scalar product per problem; a pair without curvature is left out."""
    q = gradient.clone()
    alphas = []
    for s, y, sy in reversed(history):
        alpha = ((s * q).sum((0, 2)) / sy).where(sy > 0, 0.0)
        q -= alpha[None, :, None] * y
        alphas.append(alpha)
    if history:
        _, y, sy = history[-1]
        q *= (sy / (y**2).sum((0, 2))).where(sy > 0, 1.0)[None, :, None]
    for (s, y, sy), alpha in zip(history, reversed(alphas), strict=True):
        beta = ((y * q).sum((0, 2)) / sy).where(sy > 0, 0.0)
        q += (alpha - beta)[None, :, None] * s
    return -q


def _search(
    problems: Problems,
    l2: float,
    scale: Tensor,
    state: Tensor,
    loss: Tensor,
    gradient: Tensor,
    direction: Tensor,
    slope: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Backtracking from a full step, each problem on its own (Armijo); one that finds no step stays where it is."""
    import torch

    step = torch.ones_like(slope)
    for _ in range(MAX_HALVINGS):
        moved = state + step[None, :, None] * direction
        new_loss, new_gradient = _evaluate(problems, l2, scale, moved)
        fails = ~(new_loss <= loss + 1e-4 * step * slope)
        if not bool(fails.any()):
            return moved, new_loss, new_gradient
        step = torch.where(fails, step / 2, step)
    stays = fails[None, :, None]
    return (
        torch.where(stays, state, moved),
        torch.where(fails, loss, new_loss),
        torch.where(stays, gradient, new_gradient),
    )

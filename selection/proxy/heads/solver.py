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
WEIGHTED = 600  # rows whose own curvature the Hessian knows


@dataclass(frozen=True, slots=True, eq=False)
class Problems:
    """P regressions on shared rows.

    inputs : (m, r) features. targets : (m,) class, 0..n_classes-1.
    masks : (m, P) 1 where a row belongs to a problem's training set.
    gram : (r, r) mean outer product of the inputs, for the preconditioner.
    """

    inputs: Tensor
    targets: Tensor
    masks: Tensor
    gram: Tensor
    n_classes: int


def solve(problems: Problems, l2: float, start: Tensor, *, iterations: int = 60, tolerance: float = 1e-3) -> Tensor:
    """Minimise mean cross-entropy + l2/2 |W|^2 of every problem; the last row of W is the bias, not penalised.

    start : (r + 1, P, c). Returns the same shape. L-BFGS around one fixed Hessian: all classes and problems share each
    row's mean curvature p (1 - p) at the start, so that the first step is already close to Newton's. The last step,
    which promises every problem less than `tolerance` of its loss, is taken untried. Cost: a Cholesky factor of r x r,
    and two GEMMs of m x r x (P c) a step.
    """
    import torch

    state = start
    loss, gradient, curvature = _evaluate(problems, l2, state)
    factor = torch.linalg.cholesky(_hessian(problems, l2, curvature))
    curvature = curvature.mean()
    history: list[tuple[Tensor, Tensor, Tensor]] = []
    for _ in range(iterations):
        direction = _direction(gradient, history, factor, curvature)
        slope = (direction * gradient).sum((0, 2))  # (P,)
        if bool((slope > -2 * tolerance * loss.clamp_min(0.01)).all()):  # a quadratic falls by half its slope
            return torch.where((slope < 0)[None, :, None], state + direction, state)
        uphill = slope >= 0
        direction = torch.where(uphill[None, :, None], -gradient, direction)
        slope = torch.where(uphill, -(gradient**2).sum((0, 2)), slope)
        moved, new_loss, new_gradient = _search(problems, l2, state, loss, gradient, direction, slope)
        s, y = moved - state, new_gradient - gradient
        history = [*history[-MEMORY + 1 :], (s, y, (s * y).sum((0, 2)))]
        stuck = bool((new_loss >= loss).all())
        state, loss, gradient = moved, new_loss, new_gradient
        if stuck:
            break
    return state


def _evaluate(problems: Problems, l2: float, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Loss (P,), gradient (r + 1, P, c) and the mean curvature p (1 - p) of each row's classes, (m,)."""
    import torch

    r, (m, n_problems), c = problems.inputs.shape[1], problems.masks.shape, problems.n_classes
    flat = state.reshape(r + 1, -1)
    residual = torch.addmm(flat[r], problems.inputs, flat[:r]).view(m, n_problems, c).softmax(2)
    curvature = (1 - (residual**2).sum((1, 2)) / n_problems) / c
    own = problems.targets[:, None, None].expand(m, n_problems, 1)
    right = residual.gather(2, own)  # (m, P, 1)
    share = problems.masks / problems.masks.sum(0)  # (m, P), columns sum to 1
    penalty = l2 / 2 * (state[:r] ** 2).sum((0, 2))
    loss = penalty - (right[:, :, 0].clamp_min(1e-30).log() * share).sum(0)
    residual.scatter_(2, own, right - 1)
    residual = residual.mul_(share[:, :, None]).view(m, -1)
    weights = (residual.T @ problems.inputs).T  # this way round, few columns cost half as much
    gradient = torch.cat([weights, residual.sum(0, keepdim=True)]).view_as(state)
    gradient[:r] += l2 * state[:r]
    return loss, gradient, curvature.clamp_min(1e-4)


def _hessian(problems: Problems, l2: float, curvature: Tensor) -> Tensor:
    """Mean outer product of the rows, each weighted by its curvature, + l2; the least curved rows by their mean."""
    inputs, m = problems.inputs, len(curvature)
    if m <= WEIGHTED:
        hessian = inputs.T @ (inputs * curvature[:, None]) / m
    else:
        most = curvature.topk(WEIGHTED).indices
        rest = curvature.sum() - curvature[most].sum()
        low = rest / (m - WEIGHTED)
        part = inputs[most]
        hessian = part.T @ (part * (curvature[most, None] - low)) / m + low * problems.gram
    hessian.diagonal().add_(l2)
    return hessian


def _direction(
    gradient: Tensor, history: list[tuple[Tensor, Tensor, Tensor]], factor: Tensor, curvature: Tensor
) -> Tensor:
    """The two-loop recursion (Nocedal 1980) with a scalar product per problem; a pair without curvature is left out."""
    import torch

    q = gradient.clone()
    alphas = []
    for s, y, sy in reversed(history):
        alpha = ((s * q).sum((0, 2)) / sy).where(sy > 0, 0.0)
        q -= alpha[None, :, None] * y
        alphas.append(alpha)

    def newton(vector: Tensor) -> Tensor:
        flat = vector.reshape(len(vector), -1)
        return torch.cat([torch.cholesky_solve(flat[:-1], factor), flat[-1:] / curvature]).view_as(vector)

    q = newton(q)
    if history:
        _, y, sy = history[-1]
        q *= (sy / (y * newton(y)).sum((0, 2))).where(sy > 0, 1.0)[None, :, None]
    for (s, y, sy), alpha in zip(history, reversed(alphas), strict=True):
        beta = ((y * q).sum((0, 2)) / sy).where(sy > 0, 0.0)
        q += (alpha - beta)[None, :, None] * s
    return -q


def _search(
    problems: Problems,
    l2: float,
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
        new_loss, new_gradient, _ = _evaluate(problems, l2, moved)
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

"""ActiveFT's optimisation: centroids drawn to the pool's rows and pushed off each other, by a closed-form gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from selection.contract import FloatArray, IntArray
from selection.kernels.blocks import blocks
from selection.kernels.top import Halves, best_center, halve, halve_blocks, shortlists

if TYPE_CHECKING:
    import torch

_TILE_ENTRIES = 1 << 20  # similarities of one tile: they stay in the cache between the product and the maximum
_AHEAD = 16  # nearest rows remembered for each centroid before a full look is needed


@dataclass(frozen=True, slots=True)
class Descent:
    """What steers the optimisation; see `selection.strategies.activeft.selector` for the meaning of each."""

    iterations: int
    rate: float
    temperature: float
    balance: float
    rows_per_step: int  # 0: all rows
    precision: str


class UnitRows:
    """Unit rows of a pool as tensors: a held copy (m passes to come) or scaled anew at each reading."""

    def __init__(self, features: FloatArray, *, hold: bool, precision: str, device: str) -> None:
        import torch

        self.dtype = torch.float64 if precision == "float64" else torch.float32
        self.features, self.device = features, device
        self.held: torch.Tensor | None = None
        if hold:
            self.held = torch.empty(features.shape, dtype=self.dtype, device=device)
            for part in blocks(len(features), 4096):
                self.held[part] = self._scaled(features[part])
        self._halves: Halves | None = None

    def __len__(self) -> int:
        return len(self.features)

    def block(self, part: slice) -> torch.Tensor:
        """(m, d) unit rows of a slice."""
        return self._scaled(self.features[part]) if self.held is None else self.held[part]

    def take(self, rows: IntArray) -> torch.Tensor:
        """(m, d) unit rows of given pool rows."""
        import torch

        if self.held is None:
            return self._scaled(self.features[rows])
        return self.held[torch.from_numpy(rows).to(self.device)]

    def halves(self, x: torch.Tensor, part: slice | None) -> Halves:
        """Rounded copy of unit rows `x`; of the held ones (their slice is `part`) it is kept for the next reading."""
        if self.held is None or part is None:
            return halve(x)
        if self._halves is None:
            self._halves = halve_blocks(self.held)
        return self._halves.part(part)

    def _scaled(self, part: FloatArray) -> torch.Tensor:
        import torch

        x = torch.from_numpy(np.array(part, order="C")).to(self.device, self.dtype)
        return torch.nn.functional.normalize(x, dim=1)


def fit_centroids(
    unit: UnitRows, start: IntArray, frozen: IntArray, how: Descent, rng: np.random.Generator
) -> tuple[torch.Tensor, list[float]]:
    """Optimise len(start) centroids from the rows `start`; rows `frozen` attract and repel but do not move.

    Minimises L = -mean_i ln(e^(s_i/t) / (e^(s_i/t) + balance S_a(i))), s_i the largest cosine of row i to a centroid,
    a(i) that centroid, S_j = sum_k e^(c_k.c_j/t) with c_k held constant, by Adam on centroids that are normalised
    inside. The gradient is written down instead of recorded, with S as a log-sum-exp: one product a step, no
    n x k array. Rows nearest to a frozen centroid give no gradient, so those are compared once, not at each step.

    Returns (k, d) unit centroids and the loss of each step over the rows that are nearest to a moving centroid.
    """
    import torch

    theta = unit.take(start).clone()
    fixed = unit.take(frozen)
    bar = _largest_similarity(unit, fixed) if len(frozen) else None
    first, second = torch.zeros_like(theta), torch.zeros_like(theta)
    losses = []
    for step in range(1, how.iterations + 1):
        norms = theta.norm(dim=1, keepdim=True).clamp_min(1e-12)
        centers = theta / norms
        pull, mass, loss, push, count = _gradient_parts(unit, centers, fixed, bar, how, rng)
        gradient = (push * mass[:, None] - pull) / (count * how.temperature)  # (k, d)
        gradient -= (gradient * centers).sum(1, keepdim=True) * centers  # the length of theta has no say
        gradient /= norms
        first.mul_(0.9).add_(gradient, alpha=0.1)
        second.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
        scale = (second / (1 - 0.999**step)).sqrt_().add_(1e-8)
        theta.addcdiv_(first, scale, value=-how.rate / (1 - 0.9**step))
        losses.append(loss / count)
    return torch.nn.functional.normalize(theta, dim=1), losses


def _gradient_parts(
    unit: UnitRows,
    centers: torch.Tensor,
    fixed: torch.Tensor,
    bar: torch.Tensor | None,
    how: Descent,
    rng: np.random.Generator,
) -> tuple[torch.Tensor, torch.Tensor, float, torch.Tensor, int]:
    """sum_i q_i f_i (k, d) and sum_i q_i (k,) over each centroid's rows, the loss, the mean repeller (k, d), rows."""
    import torch

    k = len(centers)
    others = torch.cat([fixed, centers])  # (L + k, d)
    logits = others @ centers.T / how.temperature  # (L + k, k)
    crowd = torch.logsumexp(logits, 0) + float(np.log(how.balance))
    push = torch.softmax(logits, 0).T @ others
    pull, mass = torch.zeros_like(centers), torch.zeros(k, dtype=centers.dtype, device=centers.device)
    loss = 0.0
    sampled = None
    if how.rows_per_step and how.rows_per_step < len(unit):
        sampled = np.sort(rng.choice(len(unit), how.rows_per_step, replace=False))
    count = len(unit) if sampled is None else len(sampled)
    short = shortlists(unit.device, centers.dtype, centers.shape[1], k)
    rounded = halve(centers) if short and how.precision != "bfloat16" else None
    for part in blocks(count, max(64, _TILE_ENTRIES // k)):
        x = unit.block(part) if sampled is None else unit.take(sampled[part])
        halves = None if rounded is None else (unit.halves(x, part if sampled is None else None), rounded)
        best, at = _top(x, centers, how.precision, halves)
        q = crowd[at] - best / how.temperature  # ln(balance S) - z
        entropy = torch.nn.functional.softplus(q)
        q = torch.sigmoid(q)
        if bar is not None:
            near = bar[part] if sampled is None else bar[torch.from_numpy(sampled[part]).to(bar.device)]
            mine = best > near
            q, entropy = q * mine, entropy * mine
        loss += float(entropy.sum())
        mass.index_add_(0, at, q)
        pull += _sum_by_centroid(x, at, q, k)
    return pull, mass, loss, push, count


def _top(
    x: torch.Tensor, centers: torch.Tensor, precision: str, halves: tuple[Halves, Halves] | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Largest similarity (m,) and its centroid (m,); precision "bfloat16" chooses by rounded rows and no more."""
    import torch

    if precision != "bfloat16":
        return best_center(x, centers, None, halves)
    at = (x.to(torch.bfloat16) @ centers.to(torch.bfloat16).T).argmax(dim=1)
    return torch.einsum("md,md->m", x, centers[at]), at


def _sum_by_centroid(x: torch.Tensor, at: torch.Tensor, q: torch.Tensor, k: int) -> torch.Tensor:
    """(m, d) rows weighted by q (m,) -> (k, d) sums; rows of a centroid are added in row order."""
    import torch

    order = torch.argsort(at, stable=True)
    counts = torch.bincount(at, minlength=k)
    offsets = torch.cumsum(counts, 0) - counts
    return torch.nn.functional.embedding_bag(order, x, offsets, mode="sum", per_sample_weights=q[order])


def _largest_similarity(unit: UnitRows, fixed: torch.Tensor) -> torch.Tensor:
    """max_k f_i.c_k for all rows: (n,)."""
    import torch

    out = torch.full((len(unit),), -torch.inf, dtype=fixed.dtype, device=fixed.device)
    for part in blocks(len(unit), max(64, _TILE_ENTRIES // min(len(fixed), 4096))):
        x = unit.block(part)
        for some in blocks(len(fixed), 4096):
            out[part] = torch.maximum(out[part], (x @ fixed[some].T).max(dim=1).values)
    return out


def claim_rows(unit: UnitRows, centers: torch.Tensor, free: NDArray[np.bool_]) -> tuple[IntArray, NDArray[np.float64]]:
    """Each centroid in turn takes the free row most similar to it: (rows (k,), similarities (k,)).

    A centroid whose remembered rows are all taken looks through the pool again. Equal similarities: the lowest row
    among those remembered. Needs k <= free rows.
    """
    values, candidates = _nearest_rows(unit, centers, free)
    left = free.copy()
    rows, found = np.empty(len(centers), np.int64), np.empty(len(centers))
    for j in range(len(centers)):
        open_ = np.flatnonzero(left[candidates[j]])
        if len(open_):
            at = int(open_[0])
            rows[j], found[j] = candidates[j, at], values[j, at]
        else:
            rows[j], found[j] = _best_free(unit, centers[j], left)
        left[rows[j]] = False
    return rows, found


def _nearest_rows(
    unit: UnitRows, centers: torch.Tensor, free: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], IntArray]:
    """The `_AHEAD` most similar free rows of each centroid, best first, ties by row: (k, a) values and rows."""
    import torch

    ahead = min(_AHEAD, int(free.sum()))
    values = torch.empty((len(centers), 0), dtype=centers.dtype, device=centers.device)
    rows = torch.empty((len(centers), 0), dtype=torch.int64, device=centers.device)
    open_ = torch.from_numpy(free).to(centers.device)
    for part in blocks(len(unit), max(256, _TILE_ENTRIES // len(centers))):
        sims = centers @ unit.block(part).T  # (k, m)
        sims[:, ~open_[part]] = -torch.inf
        high, at = sims.topk(min(ahead, sims.shape[1]), dim=1)
        values, rows = torch.cat([values, high], 1), torch.cat([rows, at + part.start], 1)
        values, kept = values.topk(min(ahead, values.shape[1]), dim=1)
        rows = rows.gather(1, kept)
    v, r = values.double().cpu().numpy(), rows.cpu().numpy()
    order = np.lexsort((r, -v), axis=1)
    return np.take_along_axis(v, order, 1), np.take_along_axis(r, order, 1)


def _best_free(unit: UnitRows, center: torch.Tensor, left: NDArray[np.bool_]) -> tuple[int, float]:
    best, row = -np.inf, -1
    for part in blocks(len(unit), 65536):
        sims: NDArray[Any] = (unit.block(part) @ center).cpu().numpy()
        sims = np.where(left[part], sims, -np.inf)
        at = int(sims.argmax())
        if row < 0 or sims[at] > best:
            best, row = float(sims[at]), at + part.start
    return row, best

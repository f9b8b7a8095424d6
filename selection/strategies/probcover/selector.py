"""ProbCover: the image whose ball holds most images that no ball holds yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from selection import parameters
from selection.contract import FloatArray, IntArray, Notes, Pool, Ranking
from selection.kernels.blocks import blocks
from selection.kernels.clean import require_finite
from selection.kernels.hashing import hash_rows
from selection.parameters import Number, Whole
from selection.registry import FORMS, register
from selection.strategies.probcover.balls import Balls

_CENTERS = 2048  # balls on which purity is measured
_KEPT = 64  # pairs a row that are remembered; where there are more, they are found again
_LEAST = 1e-4  # the smallest radius that is chosen: less would tell only copies apart
_SHRINK = 0.8  # of the radius, once all is covered
_RADII = 8  # that are tried
_NO_BORDER = 0.5  # radius where all rows share one pseudo-label


@register("probcover", tags={"geometric", "conditions"}, forms=FORMS)
@dataclass(frozen=True)
class ProbCover:
    """Pick the image with the most images close to it that no earlier pick is close to, and repeat.

    "Close" means within a radius delta between unit rows: Yehuda et al., "Active learning through a covering lens",
    NeurIPS 2022. Ties go to the lowest row. Given delta it uses no randomness and is prefix-consistent.

    How: the number of uncovered neighbours (the degree) of each row is counted once, then lowered when one of them is
    covered. Pairs within delta are kept up to 64 n and searched for again beyond that, so a row is searched at most
    twice. Distances near delta are decided in float64.

    Where we differ from the published code:

    - Rows that cover only themselves come in hash order. By number, a pool sorted by class would give one class after
      the other.
    - Once everything is covered, the radius shrinks by a fifth and covering starts again from all labeled and picked
      rows, up to eight times; the rest comes last, in hash order. The published code repeats row 0.
    - The last rows of a pool can be picked, and skipped rows cover too.

    Cost at most 4 n^2 d flops a radius, near 2 n^2 65 where few directions tell rows apart; memory n d float32 and
    O(n).

    delta : radius on unit rows, 0 to choose it: the largest at which `purity` of 2,048 balls hold one pseudo-label
    only, that is the (1 - purity) quantile of the distance to the nearest row with another pseudo-label, which
    k-means gives (`clusters` of them, 0 for as many as classes seen, ten if fewer than two). device : torch device.
    """

    delta: Annotated[float, Number(0, 2, "two unit rows are at most 2 apart")] = 0.0
    purity: Annotated[float, Number(0, 1, "it is a share")] = 0.95
    clusters: Annotated[int, Whole(0, 100_000, "each is a pseudo-class, and no pool has so many")] = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        parameters.check(self)
        parameters.device(self.device)

    def select(self, pool: Pool, budget: int, rng: np.random.Generator) -> Ranking:
        """Scores are the numbers of rows that each pick newly covers."""
        require_finite(pool)
        budget = min(budget, len(pool.candidates))
        if not budget:
            return Ranking(np.empty(0, np.int64), np.empty(0), [])
        balls = Balls(pool.features, device=self.device)
        delta = self.delta or self._pure_radius(pool, balls, rng)
        rows, gains, radii = _cover(balls, pool, delta, budget)

        def say(at: int) -> str:
            count = int(gains[at])
            if count < 2:
                return "stands alone" if count else "close to what is labeled or queued before it"
            return f"{count} images within {radii[at]:.2g} of it that nothing labeled or queued covers"

        return Ranking(rows, gains.astype(np.float64), Notes(len(rows), say))

    def _pure_radius(self, pool: Pool, balls: Balls, rng: np.random.Generator) -> float:
        from selection.kernels.kmeans import kmeans

        seen = int((pool.positives > 0).sum())
        k = self.clusters or (seen if seen > 1 else 10)
        groups = kmeans(pool.features, k, rng, unit=True, device=self.device).assigned
        centers = np.sort(rng.choice(len(pool), min(len(pool), _CENTERS), replace=False))
        near = _distance_to_others(balls, centers, groups)
        near = near[np.isfinite(near)]
        return max(float(np.quantile(near, 1 - self.purity)), _LEAST) if len(near) else _NO_BORDER


def _distance_to_others(balls: Balls, centers: IntArray, groups: IntArray) -> FloatArray:
    """Distance of each center to the nearest row of another group, inf if there is none: (m,)."""
    import torch

    best = torch.full((len(centers),), -torch.inf)
    own, every = torch.from_numpy(groups[centers]), torch.from_numpy(groups)
    for some in blocks(len(centers), 256):
        x = balls.unit[torch.from_numpy(centers[some])]
        for part in blocks(len(groups), 8192):
            sims = (x @ balls.unit[part].T).cpu()  # (m, block)
            sims.masked_fill_(own[some, None] == every[None, part], -torch.inf)
            best[some] = torch.maximum(best[some], sims.max(1).values)
    out: NDArray[np.float64] = np.sqrt(np.maximum(2 - 2 * best.double().numpy(), 0))
    return out


def _cover(balls: Balls, pool: Pool, delta: float, budget: int) -> tuple[IntArray, IntArray, NDArray[np.float64]]:
    """(rows, newly covered rows of each, radius in force or 0 where there was none)."""
    free = pool.free
    rows: list[int] = []
    gains: list[int] = []
    radii: list[float] = []
    for _ in range(_RADII):
        if len(rows) == budget:
            break
        covered = balls.near_any(np.concatenate([pool.covered, np.array(rows, np.int64)]), delta)
        open_ = np.flatnonzero(~covered)
        lists = balls.lists(open_, delta, _KEPT * len(covered))
        degree = (lists.degrees(open_) if lists else balls.degrees(open_, delta)) + ~covered
        while len(rows) < budget:
            best = int(np.where(free, degree, -1).argmax())
            if degree[best] <= 1 or not free[best]:
                break
            rows.append(best)
            gains.append(int(degree[best]))
            radii.append(delta)
            free[best] = False
            near = lists.of(best) if lists and not covered[best] else balls.within(best, delta)
            ball = np.append(near, best)
            fresh = np.sort(ball[~covered[ball]])
            covered[fresh] = True
            degree -= lists.degrees(fresh) if lists else balls.degrees(fresh, delta)
            degree[fresh] -= 1
        lone = np.flatnonzero(free & ~covered)  # no ball holds two of them
        lone = _shuffled(lone)[: budget - len(rows)]
        rows += lone.tolist()
        gains += [1] * len(lone)
        radii += [delta] * len(lone)
        free[lone] = False
        delta *= _SHRINK
    rest = _shuffled(np.flatnonzero(free))[: budget - len(rows)]
    zeros = [0] * len(rest)
    return np.array(rows + rest.tolist(), np.int64), np.array(gains + zeros, np.int64), np.array(radii + zeros, float)


def _shuffled(rows: IntArray) -> IntArray:
    """`rows` in an order that has nothing to do with the pool's, always the same."""
    return rows[np.argsort(hash_rows(rows, np.uint64(0)), kind="stable")]

"""Diverse: another selector's order, near-copies of what is labeled or picked moved behind."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from selection import parameters
from selection.contract import BadParameter, FloatArray, IntArray, Notes, Pool, Ranking, Sorts
from selection.kernels.blocks import blocks, tensor
from selection.kernels.clean import require_finite, require_probs
from selection.kernels.distances import pairwise, squared_to
from selection.parameters import Number, Whole
from selection.registry import FORMS, create_for, entry, register

_SAMPLE = 512  # rows whose nearest neighbour is measured
_ROUNDING = 1e-5
_TOGETHER = 256  # ranked rows that are compared in one product


@register("diverse", needs={"probs"}, tags={"uncertainty", "conditions"}, refers={"score"}, forms=FORMS)
@dataclass(frozen=True)
class Diverse:
    """Uncertain images, but none that nearly repeats one labeled or queued before it.

    The diversity guard of batch active learning in its plainest form; compare Brinker, "Incorporating diversity in
    active learning with support vector machines", ICML 2003; the threshold is ours. Rows are taken in the order of
    `score`; one within the radius of a labeled, skipped or already taken row steps behind all that are not. The radius
    is the given percentile of the distance of a row to its nearest other row (Euclidean, over 512 rows drawn evenly).
    Cost that of `score`, + 1024 n d flops for the radius, + 2 m (k + labeled) d for the m rows looked at.

    score : name of the selector that orders. percentile : of the nearest-neighbour distances, in percent. reach : how
    many rows are asked for each pick where `score` does not simply sort. device : torch device.
    """

    score: str = "margin"
    percentile: Annotated[float, Number(0, 100, "it is in percent")] = 5.0
    reach: Annotated[int, Whole(1, 1_000_000, "one pick already asks for all rows of a pool of a million")] = 4
    device: str = "cpu"

    def __post_init__(self) -> None:
        parameters.check(self)
        parameters.selector_name("score", self.score)
        if self.score == "diverse":
            raise BadParameter('score must be another selector than "diverse"')
        parameters.device(self.device)

    def select(self, pool: Pool, budget: int, rng: np.random.Generator) -> Ranking:
        """Scores and notes are those of `score`."""
        require_finite(pool)
        if "probs" in entry(self.score).needs:
            require_probs(pool, type(self).__name__)
        free = len(pool.candidates)
        budget = min(budget, free)
        if not budget:
            return Ranking(np.empty(0, np.int64), np.empty(0), [])
        inner = create_for(self.score, self.device)
        sorts = isinstance(inner, Sorts) and inner.sorts(pool)
        offered = inner.select(pool, free if sorts else min(free, self.reach * budget), rng)
        radius = _near_distance(pool.features, self.percentile, self.device)
        taken, held = _sift(pool.features, offered.rows, pool.covered, radius, budget)
        order = np.array(taken + held, np.int64)[:budget]  # positions in `offered`
        late = len(taken)

        def say(at: int) -> str:
            note = offered.notes[int(order[at])]
            return note if at < late else f"{note}; close to an image labeled or queued before it"

        return Ranking(offered.rows[order], offered.scores[order], Notes(len(order), say))


def _near_distance(features: FloatArray, percentile: float, device: str) -> float:
    """Percentile of the distance between a row and its nearest other row, over an even sample; 0 for one row."""
    import torch

    if len(features) < 2:
        return 0.0
    rows = np.unique(np.linspace(0, len(features) - 1, min(len(features), _SAMPLE)).astype(np.int64))
    sample = tensor(features[rows], device)
    norms = (sample * sample).sum(1)
    near = torch.full((len(rows),), torch.inf, device=device)
    for part in blocks(len(features), 4096):
        squared = squared_to(tensor(features[part], device), sample, norms)  # (m, sample)
        inside = np.flatnonzero((rows >= part.start) & (rows < part.stop))
        squared[rows[inside] - part.start, inside] = torch.inf
        near = torch.minimum(near, squared.min(0).values)
    found = float(np.percentile(near.sqrt().cpu().numpy().astype(np.float64), percentile))
    return max(found, _ROUNDING * math.sqrt(float(norms.max())))  # products see copies at a tiny distance


def _sift(
    features: FloatArray, ranked: IntArray, covered: IntArray, radius: float, budget: int
) -> tuple[list[int], list[int]]:
    """(positions of up to `budget` rows that keep apart, positions passed over on the way)."""
    kept: list[int] = []
    held: list[int] = []
    for part in blocks(len(ranked), _TOGETHER):
        rows = ranked[part]
        near: NDArray[np.float64] = np.full(len(rows), np.inf)
        for some in blocks(len(covered) + len(kept), 4096):
            chosen = np.concatenate([covered, ranked[kept]])[some]
            np.minimum(near, pairwise(features[rows], features[chosen]).min(1), out=near)
        among = pairwise(features[rows], features[rows])
        for at in range(len(rows)):
            if near[at] <= radius * radius:
                held.append(part.start + at)
                continue
            kept.append(part.start + at)
            if len(kept) == budget:
                return kept, held
            near = np.minimum(near, among[at])
    return kept, held

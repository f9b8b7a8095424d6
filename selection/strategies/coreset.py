"""Coreset: k-center greedy, farthest first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from selection import parameters
from selection.contract import Notes, Pool, Ranking
from selection.kernels.clean import require_finite
from selection.registry import FORMS, register


@register("coreset", tags={"geometric", "prefix", "permutation", "conditions"}, forms=FORMS)
@dataclass(frozen=True)
class Coreset:
    """The image farthest from everything labeled or picked before it, again and again (k-center greedy).

    Sener & Savarese, "Active learning for convolutional neural networks: a core-set approach", ICLR 2018, the greedy
    form (Gonzalez 1985): its cover radius is at most twice the best one. Picks equal the float64 definition, ties by
    the lowest row; skipped rows count as covered. Where nothing is labeled the first pick is the row nearest to the
    mean (reference codes take row 0 or a random one), so the order needs no randomness and is prefix-consistent.
    Cost 2 n (k + labeled) d flops, a pass over the features for every few tens of picks, memory O(n).

    device : torch device of the passes.
    """

    device: str = "cpu"

    def __post_init__(self) -> None:
        parameters.device(self.device)

    def select(self, pool: Pool, budget: int, rng: np.random.Generator) -> Ranking:
        """Scores are distances to the nearest row labeled or picked before; of a first pick, the radius it leaves."""
        from selection.kernels.greedy import FarthestFirst

        require_finite(pool)
        rows, squared = FarthestFirst(pool.features, pool.covered, pool.candidates, device=self.device).pick(budget)
        first = len(squared) > 0 and np.isinf(squared[0])
        if first:
            squared[0] = squared[1] if len(squared) > 1 else 0.0
        scores = np.sqrt(squared)

        def say(at: int) -> str:
            if first and at == 0:
                return "closest to the average of all images"
            return f"farthest from everything labeled or queued before it (distance {scores[at]:.3g})"

        return Ranking(rows, scores, Notes(len(rows), say))

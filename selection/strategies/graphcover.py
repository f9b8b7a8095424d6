"""GraphCover: the image from which a walk on the pool's graph reaches most that nothing else reaches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from selection import parameters
from selection.contract import Notes, Pool, Ranking
from selection.kernels.clean import require_finite
from selection.registry import register


@register("graphcover", tags={"geometric", "prefix", "conditions"})
@dataclass(frozen=True)
class GraphCover:
    """Images from which labels would spread over most of the pool along its neighbourhood graph.

    Ours: greedy facility location, sum_j max_i K_ij, on the diffusion kernel K = (1 - a) sum_t (a S)^t of the graph
    on which Zhou et al., "Learning with local and global consistency", NIPS 2003, spread labels; within 1 - 1/e of the
    best choice (Nemhauser et al. 1978). A few steps stand for the whole sum and each row keeps its largest entries.
    Deterministic and prefix-consistent; labeled and skipped rows serve from the start. Ties go to the lowest row.
    Cost 2 n^2 dims flops for the graph, n neighbors keep steps for the walk, little a pick; memory O(n keep).

    neighbors, dims : of the graph. alpha : a, the share that walks on. steps : of the walk. keep : entries a row.
    device : torch device that seeks the neighbours; the walk runs on the CPU.
    """

    neighbors: int = 15
    dims: int = 128
    alpha: float = 0.9
    steps: int = 8
    keep: int = 64
    device: str = "cpu"

    def __post_init__(self) -> None:
        parameters.whole("neighbors", self.neighbors, 1)
        parameters.whole("dims", self.dims, 1)
        parameters.number("alpha", self.alpha, 0, 0.999)
        parameters.whole("steps", self.steps, 1)
        parameters.whole("keep", self.keep, 1)
        parameters.device(self.device)

    def select(self, pool: Pool, budget: int, rng: np.random.Generator) -> Ranking:
        """Scores are the mass that each pick adds; 1 is what one row holds."""
        from selection.kernels.diffusion import cover_mass, reach_of

        require_finite(pool)
        budget = min(budget, len(pool.candidates))
        if not budget:
            return Ranking(np.empty(0, np.int64), np.empty(0), [])
        reach = reach_of(pool.features, self.neighbors, self.dims, self.alpha, self.steps, self.keep, self.device)
        rows, gains = cover_mass(reach, pool.covered, pool.labels == -1, budget)

        def say(at: int) -> str:
            count = int((reach.mass[rows[at]] > 0).sum()) - 1
            return f"in the middle of {count} related images that nothing labeled or queued reaches as well"

        return Ranking(rows, gains, Notes(len(rows), say))

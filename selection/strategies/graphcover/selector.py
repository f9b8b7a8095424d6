"""GraphCover: the image from which a walk on the pool's graph reaches most that nothing else reaches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from selection import parameters
from selection.contract import IntArray, Notes, Pool, Ranking
from selection.kernels.clean import require_finite
from selection.parameters import Number, Whole
from selection.registry import FORMS, register


@register("graphcover", tags={"geometric", "prefix", "conditions"}, forms=FORMS)
@dataclass(frozen=True)
class GraphCover:
    """Pick the images whose labels would tell most about the rest of the pool.

    Similar images are joined into a graph, and a label is thought to spread along it from neighbour to neighbour. Each
    pick is the image that adds most to what is reached so far; labeled and skipped images count as reached from.

    Our own method: greedy facility location, sum_j max_i K_ij, on the diffusion kernel K = (1 - a) sum_t (a S)^t of
    the normalised graph S on which Zhou et al., "Learning with local and global consistency", NIPS 2003, spread labels.
    On one sample it is within 1 - 1/e of the best choice (Nemhauser et al. 1978). We stop the sum after `steps` terms
    and keep the `keep` largest entries of each row.

    Small budgets are covered on small samples. Each row reaches `keep` others, so it takes m / keep picks to cover a
    graph of m rows, and fewer picks would all go to its densest corners. So the first 16 labels and picks are chosen on
    a sample of 16 keep rows, those up to 64 on 64 keep rows, and so on; a row outside the sample covers what its
    nearest row there covers. Measured on 4,000 rows: the first 10 picks gain 7 points of accuracy, those after 20 none.

    Deterministic and prefix-consistent. Ties go to the lowest row.
    Cost of a graph of m <= min(n, 4 keep (picks + labels)) rows: 2 m^2 dims flops, then m neighbors keep steps for the
    walk, little a pick; memory O(m keep).

    neighbors, dims : of the graph. alpha : a, the share that walks on. steps : of the walk. keep : entries a row.
    device : torch device that seeks the neighbours; the walk runs on the CPU.
    """

    neighbors: Annotated[
        int, Whole(1, 1000, "each row keeps so many entries of 12 bytes, and the graph is blurred long before")
    ] = 15
    dims: Annotated[int, Whole(1, 100_000, "more than any backbone gives")] = 128
    alpha: Annotated[float, Number(0, 0.999, "at 1 the walk would never end")] = 0.9
    steps: Annotated[
        int, Whole(1, 1000, "the walk has ended: at the default alpha nothing is left after a hundred steps")
    ] = 8
    keep: Annotated[int, Whole(1, 1000, "each row keeps so many entries of 12 bytes")] = 64
    device: str = "cpu"

    def __post_init__(self) -> None:
        parameters.check(self)
        parameters.device(self.device)

    def select(self, pool: Pool, budget: int, rng: np.random.Generator) -> Ranking:
        """Scores are the mass that each pick adds to the pool; 1 is what one row holds."""
        require_finite(pool)
        budget = min(budget, len(pool.candidates))
        if not budget:
            return Ranking(np.empty(0, np.int64), np.empty(0), [])
        rows, gains, reached = self._cover(pool, budget)

        def say(at: int) -> str:
            return f"reaches some {reached[at]} images better than all that is labeled or queued before it"

        return Ranking(rows, gains, Notes(len(rows), say))

    def _cover(self, pool: Pool, budget: int) -> tuple[IntArray, NDArray[np.float64], IntArray]:
        """The picks, the mass that each adds, and how many rows it reaches better than all before it: (k,) each."""
        from selection.strategies.graphcover.diffusion import cover_mass
        from selection.strategies.graphcover.levels import Walk, level_of, level_sizes

        walk = Walk(self.neighbors, self.dims, self.alpha, self.steps, self.keep, self.device)
        n = len(pool)
        free = pool.free
        covered = pool.covered
        found: list[tuple[IntArray, NDArray[np.float64], IntArray]] = []
        left = budget
        for size in level_sizes(n, self.keep):
            room = left if size == n else min(left, size // self.keep - len(covered))
            if room <= 0:
                continue
            level = level_of(pool.features, size, walk)
            places, more, better = cover_mass(level.reach, level.places(pool.features, covered), free[level.rows], room)
            fresh = level.rows[places]
            free[fresh] = False
            covered = np.concatenate([covered, fresh])
            left -= len(fresh)
            found.append((fresh, more * (n / size), better * n // size))
        rows, gains, reached = (np.concatenate(column) for column in zip(*found, strict=True))
        return rows, gains, reached

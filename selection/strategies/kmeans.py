"""K-means: the image nearest to each center."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from selection import parameters
from selection.contract import FloatArray, IntArray, Notes, Pool, Ranking
from selection.kernels.clean import require_finite
from selection.kernels.clusters import members_of, round_robin, turn_order
from selection.parameters import Whole
from selection.registry import FORMS, register


@register("kmeans", tags={"geometric", "conditions"}, forms=FORMS)
@dataclass(frozen=True)
class KMeans:
    """The image nearest to the center of each of as many groups as labels and picks, largest group first.

    k-means (Lloyd 1982) with min(labeled + budget, max_clusters) clusters of all rows, seeded by D^2 sampling (Arthur
    & Vassilvitskii, "k-means++", SODA 2007); groups without a label come first, then by size. Reference codes may
    name one row for two centers; here rows are distinct, and further rounds take each group's next nearest. Not
    prefix-consistent: another budget makes other groups. Cost 2 n k d flops an iteration, memory O(n + k d).

    max_clusters : upper bound of k. iterations : passes over all rows after those over a sample.
    normalize : cluster unit rows. device : torch device.
    """

    max_clusters: Annotated[int, Whole(1, 1_000_000, "more than the rows of a pool of a million")] = 4096
    iterations: Annotated[int, Whole(0, 1000, "Lloyd's passes move next to nothing after a few hundred")] = 3
    normalize: bool = False
    device: str = "cpu"

    def __post_init__(self) -> None:
        parameters.check(self)
        parameters.flag("normalize", self.normalize)
        parameters.device(self.device)

    def select(self, pool: Pool, budget: int, rng: np.random.Generator) -> Ranking:
        """Scores are distances to the own center."""
        from selection.kernels.kmeans import kmeans

        require_finite(pool)
        covered = ~pool.free
        budget = min(budget, len(pool.candidates))
        k = min(len(pool.covered) + budget, self.max_clusters) if budget else 0
        found = kmeans(pool.features, k, rng, iterations=self.iterations, unit=self.normalize, device=self.device)
        members = members_of(found.assigned) if budget else []
        near = np.sqrt(found.squared.astype(np.float64))

        def order_within(cluster: int, count: int) -> IntArray:
            group = members[cluster]
            return _central(pool.features, group, ~covered[group], near[group], count, self.normalize)

        turns = turn_order(members, covered)
        free = {c: int((~covered[members[c]]).sum()) for c in turns}
        picked = round_robin(turns, free, budget, order_within)
        rows = np.asarray([row for _, row in picked], np.int64)

        def say(at: int) -> str:
            group = members[picked[at][0]]
            seen = int(covered[group].sum())
            told = "none is" if seen == 0 else f"{seen} {'is' if seen == 1 else 'are'}"
            return f"nearest to the middle of a group of {len(group)} images of which {told} labeled"

        return Ranking(rows, near[rows], Notes(len(rows), say))


def _central(
    features: FloatArray,
    group: IntArray,
    free: NDArray[np.bool_],
    near: NDArray[np.float64],
    count: int,
    normalize: bool,
) -> IntArray:
    """The `count` free rows of `group` nearest to its mean, decided in float64 among those float32 puts close."""
    from selection.kernels.distances import exact_distances_to, unit_rows

    x = features[group]  # (n_c, d), positions in the group from here on
    x = unit_rows(x) if normalize else x
    at = np.flatnonzero(free)
    mean = x.mean(0, dtype=np.float64)
    last = np.partition(near[at], count - 1)[count - 1]
    scale = float(np.abs(mean).max()) + float(near.max())
    at = at[near[at] <= last + 1e-2 * scale]
    exact = np.sqrt(exact_distances_to(x[at], mean))
    steps = np.round(exact / max(scale, 1e-30) * 1e9)  # equal ones go to the lowest row
    order: IntArray = group[at[np.argsort(steps, kind="stable")[:count]]]
    return order

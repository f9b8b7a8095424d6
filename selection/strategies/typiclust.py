"""TypiClust: the most typical image of each group that has no label yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
from numpy.typing import NDArray

from selection import parameters
from selection.contract import FloatArray, IntArray, Notes, Pool, Ranking
from selection.kernels.blocks import tensor
from selection.kernels.clean import require_finite
from selection.kernels.clusters import members_of, round_robin, turn_order
from selection.parameters import Whole
from selection.registry import FORMS, register

if TYPE_CHECKING:
    import torch


@register("typiclust", tags={"geometric", "conditions"}, forms=FORMS)
@dataclass(frozen=True)
class TypiClust:
    """The most typical image of each group without a label, largest group first.

    Hacohen, Dekel & Weinshall, "Active learning on a budget: opposite strategies suit high and low budgets", ICML
    2022: min(labeled + budget, max_clusters) clusters of unit rows; groups by (labels ascending, size descending) take
    turns; in each the row of the highest typicality, 1 / (mean distance to its min(neighbors, size // 2) nearest in
    the group + 1e-5), is next. Where we differ from the published code: distances are not squared, a row is left out
    of its own neighbours by position, groups of at most `smallest` rows come last instead of never, empty groups and
    empty turns work, and a second pick of a group is not within the group's median neighbour distance of the first.
    Not prefix-consistent (the number of groups depends on the budget); random only through k-means.
    Cost 2 n k d flops an iteration + 2 d sum min(n_c, references) n_c, memory O(n + largest group x d).

    max_clusters : upper bound of the groups. neighbors, smallest : as above. references : a larger group measures
    typicality against this many of its rows, drawn evenly. iterations : k-means passes over all rows, after those
    over a sample. normalize : use unit rows. device : torch device.
    """

    max_clusters: Annotated[int, Whole(1, 1_000_000, "more than the rows of a pool of a million")] = 500
    neighbors: Annotated[int, Whole(1, 10_000, "typicality among so many rows is that of the whole group")] = 20
    smallest: Annotated[int, Whole(0, 1_000_000, "more than the rows of a pool of a million")] = 5
    references: Annotated[
        int, Whole(2, 100_000, "the mean of a few thousand distances is exact enough, and each costs a product")
    ] = 4096
    iterations: Annotated[int, Whole(0, 1000, "Lloyd's passes move next to nothing after a few hundred")] = 1
    normalize: bool = True
    device: str = "cpu"

    def __post_init__(self) -> None:
        parameters.check(self)
        parameters.flag("normalize", self.normalize)
        parameters.device(self.device)

    def select(self, pool: Pool, budget: int, rng: np.random.Generator) -> Ranking:
        """Scores are typicalities."""
        from selection.kernels.kmeans import kmeans

        require_finite(pool)
        budget = min(budget, len(pool.candidates))
        covered = ~pool.free
        k = min(int(covered.sum()) + budget, self.max_clusters) if budget else 0
        found = kmeans(pool.features, k, rng, iterations=self.iterations, unit=self.normalize, device=self.device)
        members = members_of(found.assigned) if budget else []
        scores = np.zeros(len(pool))

        def order_within(cluster: int, count: int) -> IntArray:
            return self._by_typicality(pool.features, members[cluster], covered, count, scores)

        turns = turn_order(members, covered, self.smallest)
        free = {c: int((~covered[members[c]]).sum()) for c in turns}
        large = [c for c in turns if len(members[c]) > self.smallest]
        picked = round_robin(large, free, budget, order_within)
        small = [c for c in turns if len(members[c]) <= self.smallest]
        picked += round_robin(small, free, budget - len(picked), order_within)
        rows = np.asarray([row for _, row in picked], np.int64)

        def say(at: int) -> str:
            group = members[picked[at][0]]
            seen = int(covered[group].sum())
            told = "none is" if seen == 0 else f"{seen} {'is' if seen == 1 else 'are'}"
            return f"typical of a group of {len(group)} images of which {told} labeled"

        return Ranking(rows, scores[rows], Notes(len(rows), say))

    def _by_typicality(
        self,
        features: FloatArray,
        group: IntArray,
        covered: NDArray[np.bool_],
        count: int,
        scores: NDArray[np.float64],
    ) -> IntArray:
        """The first `count` candidates of `group`; writes the typicalities of its rows into `scores`."""
        from selection.kernels.neighbors import neighbor_distances

        x = self._centred(features[group])  # (n_c, d), positions in the group from here on
        among = np.unique(np.linspace(0, len(group) - 1, min(len(group), self.references)).astype(np.int64))
        k = min(self.neighbors, len(among) // 2, len(among) - 1)
        near = np.sqrt(neighbor_distances(x, k, among=among).astype(np.float64))  # (n_c, k)
        mean = near.mean(1) if k else np.zeros(len(group))
        scores[group] = 1.0 / (mean + 1e-5)
        free = np.flatnonzero(~covered[group])
        steps = np.round(mean / max(float(mean.max()), 1e-30) * 1e5)  # rounding of float32 must not decide
        ranked = free[np.argsort(steps[free], kind="stable")]
        if count > 1 and k:
            ranked = _keep_apart(x, ranked, float(np.median(near[:, 0])), count)
        return group[ranked[:count]]

    def _centred(self, rows: FloatArray) -> torch.Tensor:
        """The rows of a group, of length 1 if asked, about their mean: float32 on the device."""
        import torch

        x = tensor(rows, self.device)
        if self.normalize:
            x = torch.nn.functional.normalize(x, dim=1)
        return x - x.mean(0)


def _keep_apart(x: torch.Tensor, ranked: IntArray, apart: float, count: int) -> IntArray:
    """Move positions within `apart` of an earlier one behind the others; stop once `count` are sure."""
    squares = (x * x).sum(1)
    close = np.zeros(len(x), bool)
    kept: list[int] = []
    held: list[int] = []
    for row in ranked.tolist():
        if close[row]:
            held.append(row)
            continue
        kept.append(row)
        if len(kept) >= count:
            break
        close |= _within(x, squares, row, apart * (1 + 1e-5))  # the pair that set the median is within
    return np.asarray((kept + held)[:count], np.int64)


def _within(x: torch.Tensor, squares: torch.Tensor, row: int, apart: float) -> NDArray[np.bool_]:
    """Which rows are at most `apart` from `row`: in float32, and by differences in float64 where rounding decides."""
    import torch

    from selection.kernels.distances import exact_distances_to

    d2 = (squares + squares[row] - 2.0 * (x @ x[row])).cpu().numpy()
    doubt = (x.shape[1] + 16) * 2.0**-22 * float(squares.max())
    inside = d2 <= apart * apart
    open_ = np.flatnonzero(np.abs(d2 - apart * apart) <= doubt)
    if len(open_):
        some = exact_distances_to(x[torch.from_numpy(open_).to(x.device)].cpu().numpy(), x[row].cpu().numpy())
        inside[open_] = some <= apart * apart
    return np.asarray(inside)

"""BiLAF: representative cores first, then rows on the borders between their pseudo-classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from selection import parameters
from selection.contract import BadParameter, FloatArray, IntArray, Notes, Pool, Ranking
from selection.kernels.clean import require_finite
from selection.kernels.quotas import fit_quotas
from selection.parameters import Number, Whole
from selection.registry import FORMS, create_for, entry, register
from selection.strategies.bilaf.boundary import (
    Borders,
    Members,
    Territory,
    allot,
    dense_first,
    pick_border,
    two_nearest,
)
from selection.strategies.bilaf.held import HELD, Held
from selection.strategies.bilaf.territory import LARGE, Sketch, mean_errors, order_by_density

_SMALL = 10  # classes of fewer rows are not denoised
Pick = tuple[int, float]


@register("bilaf", tags={"geometric", "conditions"}, refers={"core"}, forms=FORMS)
@dataclass(frozen=True)
class BiLAF:
    """Cores that represent the pool, then images on the borders between the cores' territories, noise left out.

    Lu et al., "Boundary matters: a bi-level active finetuning method", NeurIPS 2024. Rows belong to their nearest
    core; each class drops its sparsest tenth; a class is walked from its core, lowest (d_out p^t - d_in) /
    max(d_out, d_in) first, rows around each pick left out, p^t raised for the rival class of each pick.
    Where we differ from the published code: its density step reads places in a cluster as rows, which keeps outliers
    (`compat="official"` repeats that); leftover rows of a last ring are not dropped; classes without budget, budgets
    above a class and equal cores work; each class gets its core before any gets a second row; labeled and skipped rows
    count as picked and lower their class's share. Cores are chosen among all rows, labeled or not, so that territories
    describe the pool alone. The ranking holds the cores in their selector's order, then the classes by D'Hondt.
    Classes of 256 rows and more are multiplied in float32, each distance once, and whatever rounding could decide is
    decided in float64. Random only through the core selector. Cost: its
    own, + 2 n k d + 1 to 1.3 sum n_c^2 d flops; memory one class in float64 and float32, 128 MiB for distances and
    blocks.

    core : name of the selector of cores. cores : how many. inner : share of a class that makes one ring. removed :
    share dropped as noise. neighbors : of the density. penalty : p. compat : "corrected" or "official". device : torch
    device.
    """

    core: str = "activeft"
    cores: Annotated[int, Whole(1, 100_000, "each core is a class, and no pool has so many")] = 50
    inner: Annotated[float, Number(1e-6, 1, "it is a share")] = 0.1
    removed: Annotated[float, Number(0, 0.99, "it is a share, and something must be left")] = 0.1
    neighbors: Annotated[int, Whole(1, 10_000, "density among so many rows is that of the whole class")] = 10
    penalty: Annotated[float, Number(1, 100, "a class that was picked once is then never a rival again")] = 1.1
    compat: str = "corrected"
    device: str = "cpu"

    def __post_init__(self) -> None:
        parameters.check(self)
        parameters.selector_name("core", self.core)
        if self.core == "bilaf":
            raise BadParameter('core must be another selector than "bilaf"')
        parameters.one_of("compat", self.compat, ("corrected", "official"))
        parameters.device(self.device)

    def select(self, pool: Pool, budget: int, rng: np.random.Generator) -> Ranking:
        """Scores are boundary scores, lower = nearer to a border; 0 for cores."""
        require_finite(pool)
        budget = min(budget, len(pool.candidates))
        if not budget:
            return Ranking(np.empty(0, np.int64), np.empty(0), [])
        cores = self._choose_cores(pool, rng)
        borders = two_nearest(pool.features, cores, self.device)
        picks = pick_all(self, pool, cores, borders, budget)
        ranked = _interleave(picks, cores, budget)
        rows = np.array([row for row, _ in ranked], np.int64)
        scores = np.array([score for _, score in ranked])
        openers = set(cores.tolist())

        def say(at: int) -> str:
            size = int((borders.own == borders.own[rows[at]]).sum())
            if int(rows[at]) in openers:
                return f"represents a group of {size} images"
            return f"on the border of a group of {size} images (score {scores[at]:.2f}, lower is nearer)"

        return Ranking(rows, scores, Notes(len(rows), say))

    def _choose_cores(self, pool: Pool, rng: np.random.Generator) -> IntArray:
        if "probs" in entry(self.core).needs and pool.probs is None:
            raise BadParameter(f"core must work without class probabilities here, and {self.core} needs them")
        return create_for(self.core, self.device).select(pool.unlabeled(), min(self.cores, len(pool)), rng).rows


def pick_all(how: BiLAF, pool: Pool, cores: IntArray, borders: Borders, budget: int) -> list[list[Pick]]:
    """The picks of each class in order, cores first: one list a core."""
    free = pool.free
    groups = [np.flatnonzero(borders.own == c) for c in range(len(cores))]
    sizes = np.array([_retained(how, len(group)) for group in groups], np.int64)
    seen = np.array([int((~free[group]).sum()) for group in groups], np.int64)
    room = np.array([len(group) for group in groups], np.int64) - seen
    quotas = _quotas(budget, sizes, seen, room)
    if how.compat == "corrected":
        quotas = _cores_first(quotas, np.asarray((seen == 0) & (room > 0)), budget)
    held = max((len(group) for group in groups if len(group) <= HELD), default=0)
    matrix: NDArray[np.float32] = np.empty(held * held, np.float32)
    return [
        _walk(how, pool.features, borders, groups[c], int(cores[c]), int(quotas[c]), free, matrix)
        for c in range(len(cores))
    ]


def _retained(how: BiLAF, n: int) -> int:
    """How many of a class of n rows are not noise."""
    if n < _SMALL:
        return n
    if how.compat == "official":  # the last, partial ring is lost too
        ring = max(1, int(how.inner * n))
        return int(n // ring * ring * (1 - how.removed))
    return n - int(how.removed * n + 1e-9)


def _quotas(budget: int, sizes: IntArray, seen: IntArray, room: IntArray) -> IntArray:
    """Share the labeled and the new rows by class size, then take away what is labeled."""
    return fit_quotas(allot(budget + int(seen.sum()), sizes) - seen, room, sizes, budget)


def _cores_first(quotas: IntArray, open_: NDArray[np.bool_], budget: int) -> IntArray:
    """Every class without labels gets its core before any class gets a second row; the first ones if money is short."""
    quotas = quotas.copy()
    poor = np.flatnonzero(open_ & (quotas == 0))
    for c in poor:
        rich = int(np.argmax(np.where(open_, quotas - 1, quotas)))
        if quotas[rich] - open_[rich] <= 0:
            break
        quotas[rich] -= 1
        quotas[c] += 1
    if budget < open_.sum():  # cores are in their selector's order of merit
        quotas[:] = 0
        quotas[np.flatnonzero(open_)[:budget]] = 1
    return quotas


def _dense_part(how: BiLAF, features: FloatArray, group: IntArray, core: int) -> tuple[IntArray, int]:
    """(pool rows of a class, dense ones first and noise last; how many of them are retained)."""
    kept = _retained(how, len(group))
    if len(group) < _SMALL:
        return group, kept
    at = int(np.searchsorted(group, core))
    members = Members(features[group], how.device)
    order = dense_first(members, at, how.inner, how.neighbors, indexed_by_place=how.compat == "official")
    return np.concatenate([group[order], np.setdiff1d(group, group[order])]), kept


def _survey(
    how: BiLAF, features: FloatArray, borders: Borders, group: IntArray, core: int, room: NDArray[np.float32]
) -> tuple[IntArray, IntArray, Territory]:
    """(pool rows of a class; their positions, dense ones first and noise last; the class ready for picking)."""
    if how.compat == "official" or len(group) < LARGE:
        rows, kept = _dense_part(how, features, group, core)
        members = Members(features[rows], how.device)
        inside = np.argsort(rows[:kept], kind="stable")  # the lowest row wins a tie
        inward = members.mean_distances(inside)
        there = rows[inside]
        outside = borders.outside[there]
        land = Territory(members, inside, inward, outside, borders.opponent[there], np.zeros(len(inside)))
        return rows, np.arange(len(rows)), land
    kept = _retained(how, len(group))
    if len(group) <= HELD:
        held = Held(features[group], how.device, room=room)
        order = held.order_by_density(int(np.searchsorted(group, core)), how.inner, how.neighbors, kept)
        inside = np.sort(order[:kept])
        inward, slack = held.means(inside)
        there = group[inside]
        return group, order, Territory(held, inside, inward, borders.outside[there], borders.opponent[there], slack)
    sketch = Sketch(features[group], how.device)
    order = order_by_density(sketch, int(np.searchsorted(group, core)), how.inner, how.neighbors, kept)
    inside = np.sort(order[:kept])
    there, inward = group[inside], sketch.sums[inside] / kept
    slack = mean_errors(sketch, inside)
    land = Territory(sketch, inside, inward, borders.outside[there], borders.opponent[there], slack)
    return group, order, land


def _walk(
    how: BiLAF,
    features: FloatArray,
    borders: Borders,
    group: IntArray,
    core: int,
    quota: int,
    free: NDArray[np.bool_],
    room: NDArray[np.float32],
) -> list[Pick]:
    """The picks of one class; noise comes only when the retained rows are used up."""
    if quota == 0:
        return []
    rows, order, land = _survey(how, features, borders, group, core, room)
    taken = order[~free[rows[order]]]  # dense ones first
    opener = -1 if len(taken) else int(np.flatnonzero(rows == core)[0])
    places, scores = pick_border(land, taken, opener, quota, quota + len(taken), how.penalty)
    picks = [(int(rows[p]), s) for p, s in zip(places, scores, strict=True)]
    used = {row for row, _ in picks}
    spare = [(int(row), 0.0) for row in rows[order] if free[row] and int(row) not in used]
    return picks + spare[: quota - len(picks)]


def _interleave(picks: list[list[Pick]], cores: IntArray, budget: int) -> list[Pick]:
    """Cores in their order, then the j-th pick of a class with b picks at j / b (D'Hondt), ties by class."""
    keyed = []
    for c, chosen in enumerate(picks):
        for j, pick in enumerate(chosen, start=1):
            keyed.append(((0.0 if pick[0] == cores[c] else j / len(chosen)), c, j, pick))
    keyed.sort(key=lambda entry: entry[:3])
    return [pick for *_, pick in keyed][:budget]

"""BiLAF's steps on one pseudo-class and over all: nearest cores, denoising, boundary scores, quotas, picks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from selection.contract import FloatArray, IntArray
from selection.kernels.blocks import block_rows, blocks
from selection.strategies.bilaf.held import Held
from selection.strategies.bilaf.territory import Sketch

if TYPE_CHECKING:
    import torch

Float64 = NDArray[np.float64]
_BY_PRODUCT = "use_mm_for_euclid_dist"
_FARTHEST = 1e100  # that a rival is pushed away: more would overflow after some hundred picks


@dataclass(frozen=True, slots=True)
class Borders:
    """For each row: its core (position in the cores), the runner-up core, and the distance to that one."""

    own: IntArray
    opponent: IntArray
    outside: Float64


def two_nearest(features: FloatArray, cores: IntArray, device: str) -> Borders:
    """Pseudo-class and opponent of each row, in float64; a core is of its own class. Cost 2 n k d flops."""
    import torch

    n, k = len(features), len(cores)
    centers = _wide(features[cores], device)
    own, opponent = np.zeros(n, np.int64), np.zeros(n, np.int64)
    outside: Float64 = np.zeros(n)
    place = np.full(n, -1, np.int64)
    place[cores] = np.arange(k)
    for part in blocks(n, block_rows(8 * (k + 2 * features.shape[1]))):
        between = torch.cdist(_wide(features[part], device), centers, compute_mode=_BY_PRODUCT)
        near = between.argmin(1).cpu().numpy()
        near = np.where(place[part] >= 0, place[part], near)
        own[part] = near
        if k > 1:
            between[torch.arange(len(near)), torch.from_numpy(near)] = torch.inf
            value, at = between.min(1)
            opponent[part], outside[part] = at.cpu().numpy(), value.cpu().numpy()
    return Borders(own, opponent, outside)


def _wide(part: FloatArray, device: str) -> torch.Tensor:
    import torch

    return torch.from_numpy(part.astype(np.float64)).to(device)


class Members:
    """The rows of one pseudo-class, with blocked distances; positions in it, not pool rows."""

    def __init__(self, features: FloatArray, device: str) -> None:
        self.x = _wide(features, device)
        self.x -= self.x.mean(0)  # a common offset would cost digits
        self.count = len(features)

    def distances(self, left: IntArray, right: IntArray) -> torch.Tensor:
        """(m, k) Euclidean distances; the caller keeps m x k to a block."""
        import torch

        a, b = self.x[torch.from_numpy(left)], self.x[torch.from_numpy(right)]
        return torch.cdist(a, b, compute_mode=_BY_PRODUCT)

    def nearest_of(self, row: int, among: IntArray, count: int) -> IntArray:
        """Places in `among` of the `count` rows nearest to `row`."""
        away = self.distances(np.array([row]), among)[0].cpu().numpy()
        away[among == row] = -1.0  # rounding must not keep the row itself alive
        return np.argsort(away, kind="stable")[:count]

    def mean_distances(self, among: IntArray) -> Float64:
        """Mean distance of each of `among` to all of `among`, itself included: (m,)."""
        import torch

        out: Float64 = np.empty(len(among))
        for part in blocks(len(among), block_rows(8 * len(among))):
            out[part] = self.distances(among[part], among).mean(1, dtype=torch.float64).cpu().numpy()
        return out


def dense_first(members: Members, core: int, inner: float, neighbors: int, *, indexed_by_place: bool) -> IntArray:
    """Positions of a class from its dense middle outwards, in rings of max(1, floor(inner n)).

    The first ring is nearest to the core; each further ring holds the rows whose mean distance to their `neighbors`
    nearest rows inside is least. `indexed_by_place` repeats a slip of the published code: the places of those nearest
    inside the growing cluster are read as positions of the class, and the last, partial ring is left out.
    """
    n = members.count
    ring = max(1, int(inner * n))
    everyone = np.arange(n)
    from_core = members.distances(everyone, np.array([core]))[:, 0].double().cpu().numpy()
    inside = np.argsort(from_core, kind="stable")[:ring]
    outside = np.setdiff1d(everyone, inside)
    near: Float64 = np.empty((len(outside), 0))
    fresh = inside
    while len(outside) and (not indexed_by_place or len(outside) >= ring):
        if indexed_by_place:
            density = _misread(members, outside, inside, neighbors)
        else:
            near = _merge(members, outside, fresh, near, neighbors)
            density = near.mean(1)
        order = np.argsort(density, kind="stable")
        fresh = outside[order[:ring]]
        inside = np.concatenate([inside, fresh])
        kept = np.sort(order[ring:])
        outside, near = outside[kept], near[kept] if not indexed_by_place else near
    return inside


def _merge(members: Members, outside: IntArray, fresh: IntArray, near: Float64, k: int) -> Float64:
    """The k smallest distances of each outside row to the inside, after `fresh` joined it."""
    import torch

    width = min(k, near.shape[1] + len(fresh))
    out: Float64 = np.empty((len(outside), width))
    for part in blocks(len(outside), block_rows(8 * (len(fresh) + k))):
        fresh_distances = members.distances(outside[part], fresh)
        least = fresh_distances.topk(min(k, len(fresh)), dim=1, largest=False).values.double()
        both = torch.cat([torch.from_numpy(near[part]).to(least.device), least], 1)
        out[part] = both.topk(width, dim=1, largest=False).values.cpu().numpy()
    return out


def _misread(members: Members, outside: IntArray, inside: IntArray, k: int) -> Float64:
    out: Float64 = np.empty(len(outside))
    wrong = np.arange(len(inside))
    for part in blocks(len(outside), block_rows(16 * len(inside))):
        places = members.distances(outside[part], inside).argsort(dim=1, stable=True)[:, :k]
        out[part] = members.distances(outside[part], wrong).gather(1, places).mean(1).cpu().numpy()
    return out


def allot(budget: int, sizes: IntArray) -> IntArray:
    """Split `budget` by size, rounded down; what is left goes one by one to the class that has least (then: largest).

    sizes : (c,). Classes may get nothing, or more than they hold.
    """
    share = budget * sizes / max(1, sizes.sum())
    given: IntArray = np.floor(share).astype(np.int64)
    while len(given) and given.sum() < budget:
        least = np.flatnonzero(given == given.min())
        given[least[np.argmax(share[least])]] += 1
    return given


@dataclass(frozen=True, slots=True)
class Territory:
    """One pseudo-class ready for picking: retained positions, with boundary terms for each of them (m,).

    members : the class, in full precision, or a sketch. slack : by how much a sketch's `inward` may be off.
    """

    members: Members | Sketch | Held
    retained: IntArray
    inward: Float64
    outward: Float64
    opponent: IntArray
    slack: Float64

    def closest(self, position: int, among: IntArray, count: int) -> IntArray:
        """Places in `among` of the `count` positions nearest to `position`."""
        return self.members.nearest_of(position, among, count)

    def scores(self, raised: Float64) -> Float64:
        """(d_out raised - d_in) / max(d_out, d_in)."""
        return np.asarray(
            (self.outward * raised - self.inward) / np.maximum(np.maximum(self.outward, self.inward), 1e-300)
        )

    def lowest(self, alive: NDArray[np.bool_], raised: Float64) -> tuple[int, float]:
        """The alive place of the lowest score and that score; a sketch measures anew what its slack leaves open."""
        border = np.where(alive, self.scores(raised), np.inf)
        if not isinstance(self.members, Members):  # whose means are exact
            width = 1.01 * self.slack * raised / np.maximum(np.maximum(self.outward, self.inward - self.slack), 1e-300)
            open_ = np.flatnonzero(border - width <= (border + width).min())
            rough = open_[self.slack[open_] > 0]
            if len(open_) > 1 and len(rough):
                self.inward[rough] = self.members.exact_means(self.retained[rough], self.retained)
                self.slack[rough] = 0.0
                border = np.where(alive, self.scores(raised), np.inf)
        best = int(border.argmin())
        return best, float(border[best])


def pick_border(
    land: Territory, first: IntArray, core: int, quota: int, whole: int, penalty: float
) -> tuple[list[int], list[float]]:
    """Up to `quota` positions in order, and their boundary scores: (d_out penalty^t - d_in) / max(d_out, d_in).

    first : positions that are taken already (labeled); core : the position that opens a class without them, or -1.
    After each taken position its floor(m / whole) nearest alive candidates leave, and its opponent's t grows by one
    (not for the core). Lowest score first; stops when no candidate is alive.
    """
    alive = np.ones(len(land.retained), bool)
    times = np.zeros(int(land.opponent.max(initial=0)) + 1)
    crowd = max(1, len(land.retained) // max(1, whole))
    place = {int(p): i for i, p in enumerate(land.retained)}

    def take(position: int, counts: bool) -> None:
        at = place.get(position)
        rest = np.flatnonzero(alive)
        gone = rest[land.closest(position, land.retained[rest], crowd)] if len(rest) > crowd else rest
        alive[gone] = False
        if at is not None:
            alive[at] = False
            times[land.opponent[at]] += counts

    for position in first:
        take(int(position), True)
    out: list[int] = []
    scores: list[float] = []
    if core >= 0 and quota > 0:
        out.append(core)
        scores.append(0.0)
        take(core, False)
    most = np.log(_FARTHEST) / max(np.log(penalty), 1e-9)
    while len(out) < quota and alive.any():
        best, score = land.lowest(alive, penalty ** np.minimum(times[land.opponent], most))
        out.append(int(land.retained[best]))
        scores.append(score)
        take(out[-1], True)
    return out, scores

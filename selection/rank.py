"""Rank a real pool: set bad vectors and copies aside, pick a head exactly, append a cheap tail."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selection.contract import (
    BadParameter,
    FloatArray,
    IntArray,
    Notes,
    Pool,
    Ranking,
    Selector,
    Sorts,
)
from selection.registry import has, require_form
from selection.thin import thin

TAIL = "beyond the ranked head: in order of distance from everything labeled or ranked"
COPY = "an exact copy of an image ranked above"
SEEN = "an exact copy of an image that is labeled or skipped"
BROKEN = "cannot be ranked: its features are not finite"
ZERO = "cannot be ranked: its features are all zero"
GUESS = "cannot be ranked: its class probabilities are no distribution"
GUESSES = "cannot be ranked: its class probabilities are not all between 0 and 1"


def rank(
    selector: Selector, pool: Pool, budget: int, seed: int, *, horizon: int = 1000, prefilter: int | None = None
) -> Ranking:
    """Rank min(budget, candidates) rows of any pool, however dirty, at a bounded cost.

    Rows whose features are not finite or zero, or whose probabilities are no distribution, come last, with the
    reason as their note; before them come exact copies of other rows (equal bytes), those of labeled or skipped rows
    after the others. `selector` sees only distinct clean rows, and picks at most `horizon` of them, as nobody labels
    a million images in one sitting; the rest follow by distance from everything labeled or ranked, farthest first.
    A selector that sorts anyway (`Sorts`) gives its whole order instead of a head. Scores of the tail are those
    distances, scores of rows set aside are 0.

    prefilter : let the selector see only this many candidates, drawn evenly, beside all labeled rows
    (`selection.thin`); for selectors whose cost grows faster than the pool. The tail still holds every row.

    Randomness comes from `seed` alone. Cost: the selector's, one pass to clean, and 2 n (horizon + labeled) d flops
    for a tail. Memory beside the features: the selector's, and one copy of the features if any row was set aside.
    Raises `BadParameter` for a negative budget, or a horizon or prefilter under 1, `WrongForm` if the selector does not
    take what a label is in this pool, and whatever the selector raises.
    """
    if budget < 0 or horizon < 1:
        raise BadParameter(f"budget must be at least 0 and horizon at least 1, got {budget} and {horizon}")
    if prefilter is not None and prefilter < 1:
        raise BadParameter(f"prefilter must be at least 1, or None for the whole pool, got {prefilter}")
    require_form(selector, pool.form)
    blind = has(selector, "blind")
    aside = _set_aside(pool)
    kept, clean = _clean_pool(pool, aside, blind=blind)
    sorts = isinstance(selector, Sorts) and selector.sorts(clean)
    reach = len(clean.candidates) if sorts else min(budget, horizon)
    rng = np.random.default_rng(seed)
    if prefilter is None or sorts or blind:
        head = selector.select(clean, reach, rng)
    else:
        few, rows = thin(clean, prefilter, rng)
        found = selector.select(few, min(reach, prefilter), rng)
        head = Ranking(rows[found.rows], found.scores, found.notes)
    tail = _tail(clean, head, budget - len(head), getattr(selector, "device", "cpu"))
    return _assemble(aside, kept, head, tail, budget)


@dataclass(frozen=True, slots=True)
class _Aside:
    """Pool rows that the selector does not see. The four lists hold candidates only, ascending."""

    dropped: NDArray[np.bool_]
    copies: IntArray
    originals: IntArray
    seen: IntArray
    bad: IntArray
    reasons: list[str]


def _set_aside(pool: Pool) -> _Aside:
    from selection.kernels.clean import bad_probs, bad_rows, representatives

    broken, zero = bad_rows(pool.features)
    guess = bad_probs(pool.probs, pool.form) if pool.probs is not None else np.empty(0, np.int64)
    guessed = GUESS if pool.form == "one" else GUESSES
    why = np.full(len(pool), "", object)
    for rows, reason in ((guess, guessed), (zero, ZERO), (broken, BROKEN)):
        why[rows] = reason
    bad = why != ""
    candidate = pool.free
    group = representatives(pool.features)  # (n,) the lowest row of each group of equal rows
    taken = np.zeros(len(pool), bool)
    taken[group[~candidate & ~bad]] = True
    original = np.full(len(pool), -1, np.int64)  # of a group: its lowest clean candidate
    free = np.flatnonzero(candidate & ~bad)[::-1]
    original[group[free]] = free
    seen = candidate & ~bad & taken[group]
    copies = candidate & ~bad & ~seen & (original[group] != np.arange(len(pool)))
    bad_candidates = np.flatnonzero(bad & candidate)
    return _Aside(
        bad | seen | copies,
        np.flatnonzero(copies),
        original[group[copies]],
        np.flatnonzero(seen),
        bad_candidates,
        list(why[bad_candidates]),
    )


def _clean_pool(pool: Pool, aside: _Aside, *, blind: bool) -> tuple[IntArray, Pool]:
    """(pool rows that the selector sees, that sub-pool); a blind one sees every row, to be sifted afterwards."""
    if blind or not aside.dropped.any():
        return np.arange(len(pool)), pool
    kept = np.flatnonzero(~aside.dropped)
    return kept, pool.take(kept)


def _tail(clean: Pool, head: Ranking, wanted: int, device: str) -> tuple[IntArray, NDArray[np.float64]]:
    """(sub-pool rows after the head, their distances to labeled and head rows), farthest first, ties by row."""
    free = clean.free
    free[head.rows] = False
    rest = np.flatnonzero(free)
    if wanted <= 0 or not len(rest):
        return np.empty(0, np.int64), np.empty(0)
    near = _nearest_among(clean.features, np.concatenate([clean.covered, head.rows]), device)[rest]
    order = np.argsort(-near, kind="stable")
    return rest[order], near[order]


def _nearest_among(features: FloatArray, rows: IntArray, device: str) -> NDArray[np.float64]:
    from selection.kernels.blocks import blocks
    from selection.kernels.distances import nearest

    near = np.full(len(features), np.inf, np.float32)
    for part in blocks(len(rows), 4096):
        np.minimum(near, nearest(features, features[rows[part]], device=device)[1], out=near)
    return np.sqrt(near.astype(np.float64))


def _assemble(
    aside: _Aside, kept: IntArray, head: Ranking, tail: tuple[IntArray, NDArray[np.float64]], budget: int
) -> Ranking:
    """Put head, tail, copies and bad rows behind each other, in pool rows."""
    in_head = np.flatnonzero(~aside.dropped[kept[head.rows]])  # a blind head holds rows that were set aside
    picked = kept[head.rows[in_head]]
    distinct = np.concatenate([picked, kept[tail[0]]])
    place = np.full(len(aside.dropped), len(distinct), np.int64)
    place[distinct] = np.arange(len(distinct))
    copies = aside.copies[np.argsort(place[aside.originals], kind="stable")]
    rows = np.concatenate([distinct, copies, aside.seen, aside.bad])[:budget]
    scores = np.zeros(len(rows))
    known = np.concatenate([head.scores[in_head], tail[1]])[:budget]
    scores[: len(known)] = known
    ends = np.cumsum([len(picked), len(tail[0]), len(copies), len(aside.seen)])

    def say(at: int) -> str:
        section = int(np.searchsorted(ends, at, side="right"))
        if section == 0:
            return head.notes[int(in_head[at])]
        if section == 4:
            return aside.reasons[at - int(ends[3])]
        return (TAIL, COPY, SEEN)[section - 1]

    return Ranking(rows, scores, Notes(len(rows), say))

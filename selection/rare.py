"""Rare classes that matter: a share of the queue goes to their likeliest candidates until enough examples are found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from selection import parameters
from selection.contract import BadParameter, BoolArray, FloatArray, MissingProbabilities, Notes, Pool, Ranking

MOST_WANTED = 1_000_000


@dataclass(frozen=True, slots=True)
class Wish:
    """Where the search for one class stands.

    number : the class; wanted : examples; found : labeled rows that show it; placed : candidates put into the queue for
    it; expected : discoveries among these, the sum of their probabilities. left : expected examples among all rows that
    nobody has seen. recall : found / (found + left), an estimate as good as the probabilities; None without either.
    """

    number: int
    wanted: int
    found: int
    placed: int
    expected: float
    left: float
    recall: float | None


def weave_rare(
    ranking: Ranking, pool: Pool, rare: Mapping[int, int], *, share: float = 0.5
) -> tuple[Ranking, tuple[Wish, ...]]:
    """Put the likeliest candidates of wanted classes among the picks of a ranking, `share` of its places.

    rare : {class: wanted examples}, for pools of both forms; needs `pool.probs` unless it is empty. A class whose wish
    is fulfilled, by labels or by the expected discoveries among its candidates so far, takes no more places; classes
    take turns; each gives its candidates by falling probability, ties by the lowest row, none twice. The length and
    the order of the other picks stay, so what comes in pushes out the end of the ranking.

    Ours; searching the likeliest positives is "certainty" or relevance sampling (Lewis & Gale, SIGIR 1994). How the
    backend uses it: on what `selection.rank` gives for the same pool, before audit tasks are woven in. Cost n log n a
    class. Raises `MissingProbabilities`, and `BadParameter` for a share outside 0..1 or a class without a column.
    """
    parameters.number("share", share, 0.0, 1.0)
    if not rare:
        return ranking, ()
    searches = _searches(pool, rare)
    turns = [search for search in searches if not search.fulfilled]
    others = iter(range(len(ranking)))
    taken = np.zeros(len(pool), bool)
    rows, scores = np.empty(len(ranking), np.int64), np.empty(len(ranking))
    source = np.empty(len(ranking), np.int64)  # place in the ranking, or -1 - class
    for place in range(len(ranking)):
        row = None
        while turns and row is None and int((place + 1) * share) > int(place * share):
            search = turns.pop(0)
            row = search.next(taken)
            if row is not None and not search.fulfilled:
                turns.append(search)
        if row is not None:
            rows[place], scores[place], source[place] = row, search.probs[row], -1 - search.number
        else:
            at = next(a for a in others if not taken[ranking.rows[a]])  # fewer are taken than the ranking has
            rows[place], scores[place], source[place] = ranking.rows[at], ranking.scores[at], at
        taken[rows[place]] = True

    def say(at: int) -> str:
        known = int(source[at])
        return (
            ranking.notes[known] if known >= 0 else f"class {-1 - known} is sought and may be there ({scores[at]:.2f})"
        )

    return Ranking(rows, scores, Notes(len(rows), say)), tuple(search.wish() for search in searches)


class _Search:
    """The search for one class: its candidates by falling probability."""

    def __init__(self, number: int, wanted: int, pool: Pool, probs: FloatArray) -> None:
        positives, free = pool.positives, pool.candidates
        self.number, self.wanted, self.probs = number, wanted, probs[:, number].astype(np.float64)
        self.found = int(positives[number]) if number < len(positives) else 0
        self.left = float(self.probs[free].sum())
        self.queue = iter(free[np.argsort(-self.probs[free], kind="stable")].tolist())
        self.expected, self.placed = 0.0, 0

    @property
    def fulfilled(self) -> bool:
        return self.found + self.expected >= self.wanted

    def next(self, taken: BoolArray) -> int | None:
        """The likeliest candidate that is not in the queue yet; None when there is none left."""
        row = next((row for row in self.queue if not taken[row]), None)
        if row is not None:
            self.expected += float(self.probs[row])
            self.placed += 1
        return row

    def wish(self) -> Wish:
        recall = self.found / (self.found + self.left) if self.found + self.left > 0 else None
        return Wish(self.number, self.wanted, self.found, self.placed, self.expected, self.left, recall)


def _searches(pool: Pool, rare: Mapping[int, int]) -> list[_Search]:
    if pool.probs is None:
        raise MissingProbabilities("rare classes are sought by class probabilities: give Pool(..., probs=(n, c) array)")
    for number, wanted in rare.items():
        parameters.whole(f"rare: class {number}", number, 0, pool.probs.shape[1] - 1)
        parameters.whole(f"rare: examples of class {number}", wanted, 1, MOST_WANTED)
    searches = [_Search(number, wanted, pool, pool.probs) for number, wanted in rare.items()]
    if not all(np.isfinite(search.left) for search in searches):
        raise BadParameter("rare classes need probabilities that are finite; call it on the pool without bad rows")
    return searches


def recall_doubt(found: int, hits: int, drawn: int, unseen: int, target: float) -> float:
    """P(at most `hits` in a random sample | recall is below `target`): small means that the target is reached.

    found : examples known before the sample; hits : of `drawn` rows taken at random, without replacement, from the
    `unseen` rows that nobody had seen (the audit's rows, if they were drawn then). Callaghan & Mueller-Hansen,
    "Statistical stopping criteria for automated screening in systematic reviews", Systematic Reviews 2020: the
    hypergeometric tail at the fewest examples that would keep recall below the target. Raises `BadParameter`.
    """
    if not 0 <= hits <= drawn <= unseen or found < 0 or not 0 < target < 1:
        raise BadParameter(
            "0 <= hits <= drawn <= unseen, found >= 0 and 0 < target < 1 are needed, "
            f"got {hits}, {drawn}, {unseen}, {found}, {target}"
        )
    from scipy.stats import hypergeom

    known = found + hits
    least = int(known / target - found) + 1  # examples among the unseen at which known / (found + least) < target
    if least > unseen:
        return 0.0
    return float(hypergeom.cdf(hits, unseen, least, drawn))

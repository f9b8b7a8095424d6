"""Rank the rows of a pool by a strategy: what the live queue and the simulation both run."""

from __future__ import annotations

import numpy as np
import structlog
from numpy.typing import NDArray

import selection
from backend.core.domain import Strategy

log = structlog.get_logger()

COLD = "auto"
"""What stands in for a strategy that needs class probabilities while there are none."""


def order_rows(
    strategy: Strategy,
    vectors: NDArray[np.float16],
    labels: NDArray[np.int64],
    probs: NDArray[np.float32] | None,
    aside: NDArray[np.bool_],
    *,
    length: int,
    batch: int,
    seed: int,
    present: NDArray[np.bool_] | None = None,
) -> selection.Ranking:
    """The selector's order of at most `length` pool rows; it never sees the rows set aside, nor their labels.

    vectors (n, d), labels (n,), probs (n, c) or None while nothing is learnt; aside (n,): rows that judge;
    batch: how many people label before the next ranking; present (n, c): where labels are sets of classes.
    """
    kept = np.flatnonzero(~aside)
    if present is None:
        pool = selection.Pool(vectors, labels, probs)
    else:
        pool = selection.Pool(vectors, probs=probs, present=present, marks=labels)
    if len(kept) < len(labels):
        pool = pool.take(kept)
    budget = min(length, len(pool.candidates))
    try:
        ordered = _staged(strategy, pool, batch, budget, seed)
    except (selection.MissingProbabilities, selection.WrongForm) as error:
        log.info("ranking by " + COLD, strategy=strategy.name, why=str(error))
        ordered = _staged(Strategy(COLD), pool, batch, budget, seed)
    return selection.Ranking(kept[ordered.rows], ordered.scores, ordered.notes)


def _staged(strategy: Strategy, pool: selection.Pool, batch: int, budget: int, seed: int) -> selection.Ranking:
    """The batch that will be labeled before the next round, chosen as a batch; then the reserve, given the batch.

    A method that is not greedy (it makes as many clusters as its budget) would else spread the next ten labels as if
    the whole head were going to be labeled.
    """
    selector = selection.create(strategy.name, **strategy.params)
    if budget <= batch or selection.has(selector, "prefix"):
        return selection.rank(selector, pool, budget, seed=seed, horizon=max(budget, 1))
    first = selection.rank(selector, pool, batch, seed=seed, horizon=batch)
    rest = selection.rank(selector, pool.skip(first.rows), budget - batch, seed=seed, horizon=budget)
    return selection.Ranking(
        np.concatenate([first.rows, rest.rows]),
        np.concatenate([first.scores, rest.scores]),
        [*first.notes, *rest.notes],
    )

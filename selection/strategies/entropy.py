"""Entropy: the most spread guess first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from selection import parameters
from selection.contract import Pool, Ranking
from selection.kernels.scores import entropy
from selection.registry import register
from selection.uncertain import can_sort, pick_uncertain, spread


@register("entropy", needs={"probs"}, tags={"uncertainty", "prefix", "permutation"})
@dataclass(frozen=True)
class Entropy:
    """Entropy: the image whose guess is most spread over the classes first.

    -sum_k p_k ln p_k descending (Shannon 1948; Settles, "Active learning literature survey", 2009). Reference codes
    take log 0 and rank the NaN first; here 0 ln 0 = 0, so that a certain row is last.

    Scores are compared in steps of 1e-6; equal ones go to the lowest row. Where all candidates score the same (one
    class, or no evidence yet) the order of `fallback` is given instead of the order of rows. Labels matter only
    through `pool.probs`. Cost O(n (c + log n)).

    fallback : name of the selector that serves then. device : where that one computes.
    """

    fallback: str = "typiclust"
    device: str = "cpu"

    def __post_init__(self) -> None:
        parameters.selector_name("fallback", self.fallback)
        parameters.device(self.device)

    def select(self, pool: Pool, budget: int, rng: np.random.Generator) -> Ranking:
        """Scores are in nats, in [0, ln c]."""
        return pick_uncertain(pool, budget, rng, score=entropy, say=spread, method=self)

    def sorts(self, pool: Pool) -> bool:
        """True unless the fallback would serve."""
        return can_sort(pool, entropy)

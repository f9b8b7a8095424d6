"""Least confidence: the lowest top probability first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from selection import parameters
from selection.contract import Pool, Ranking
from selection.kernels.scores import least_confidence
from selection.registry import register
from selection.uncertain import can_sort, pick_uncertain, unsure


@register("least_confidence", needs={"probs"}, tags={"uncertainty", "prefix", "permutation"})
@dataclass(frozen=True)
class LeastConfidence:
    """Least confidence: the image whose best guess is weakest first.

    max_k p_k ascending (Lewis & Gale, "A sequential algorithm for training text classifiers", SIGIR 1994).

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
        """Scores are 1 - max_k p_k, in [0, 1)."""
        return pick_uncertain(pool, budget, rng, score=least_confidence, say=unsure, method=self)

    def sorts(self, pool: Pool) -> bool:
        """True unless the fallback would serve."""
        return can_sort(pool, least_confidence)

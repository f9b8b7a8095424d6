"""Margin: the smallest gap between the two likeliest classes first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from selection import parameters
from selection.contract import Pool, Ranking
from selection.kernels.scores import small_margin
from selection.registry import register
from selection.uncertain import can_sort, pick_uncertain, torn


@register("margin", needs={"probs"}, tags={"uncertainty", "prefix", "permutation"})
@dataclass(frozen=True)
class Margin:
    """Margin: the image most torn between its two likeliest classes first.

    p_(1) - p_(2) ascending (Scheffer et al., "Active hidden Markov models for information extraction", IDA 2001);
    with one class the margin is defined as 1.

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
        """Scores are 1 - (p_(1) - p_(2)), in [0, 1]."""
        return pick_uncertain(pool, budget, rng, score=small_margin, say=torn, method=self)

    def sorts(self, pool: Pool) -> bool:
        """True unless the fallback would serve."""
        return can_sort(pool, small_margin)

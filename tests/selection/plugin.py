"""A selector of another distribution, found by its entry point in test_registry."""

from dataclasses import dataclass

import numpy as np

from selection import Ranking, register


@register("theirs")
@dataclass(frozen=True)
class Theirs:
    """Every other row. Ours, for a test. Cost O(n)."""

    def select(self, pool, budget, rng):
        rows = np.concatenate([pool.candidates[::2], pool.candidates[1::2]])[:budget]
        return Ranking(rows, np.zeros(len(rows)), ["every other"] * len(rows))

"""Random: a hash of the seed and the row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from selection.contract import Notes, Pool, Ranking
from selection.kernels.hashing import hash_rows
from selection.registry import FORMS, register


@register("random", tags={"prefix", "blind"}, forms=FORMS)
@dataclass(frozen=True)
class Random:
    """Random order that stays as it is when rows are added at the end or labeled.

    Rows are sorted by a 64-bit hash (SplitMix64 finaliser; Steele et al., "Fast splittable pseudorandom number
    generators", OOPSLA 2014) of one number drawn from `rng` and the row, so each row's place among the others depends
    on nothing else. Features, labels and probabilities are not read. Cost O(n log n).
    """

    def select(self, pool: Pool, budget: int, rng: np.random.Generator) -> Ranking:
        """Scores are the hashes as numbers in [0, 1), ascending."""
        seed = rng.integers(2**64, dtype=np.uint64)
        rows = pool.candidates
        hashes = hash_rows(rows, seed)
        order = np.argsort(hashes, kind="stable")[:budget]  # positions among the candidates
        return Ranking(rows[order], hashes[order] / 2.0**64, Notes(len(order), lambda _: "drawn at random"))

    def sorts(self, pool: Pool) -> bool:
        """Always: it is a sort by hash."""
        return True

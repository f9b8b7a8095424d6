"""Auto: images that cover the pool until every seen class has some labels, then uncertain ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from selection import parameters
from selection.contract import BadParameter, Pool, Ranking, Selector, Sorts
from selection.parameters import Whole
from selection.registry import FORMS, create_for, register


@register("auto", tags={"conditions"}, inner=("cold", "warm"), forms=FORMS)
@dataclass(frozen=True)
class Auto:
    """Images that cover the pool's graph until every seen class has twenty labels, then those the head is torn about.

    Coverage pays while labels are few and uncertainty pays later (Hacohen et al., "Active learning on a budget",
    ICML 2022, show the switch); the count per class is our rule, as it needs no held-out labels. The choices rest on
    docs/quality.md: in rounds of ten from nothing, `graphcover` beat random by more than any other strategy, and margin
    showed no gain up to 200 labels of 10 classes. Without `pool.probs`, `cold` serves throughout. Cost is that of the
    selector in use.

    cold, warm : names of selectors. labels_per_class : labels of the rarest seen class at which `warm` takes over.
    device : passed on to them.
    """

    cold: str = "graphcover"
    warm: str = "margin"
    labels_per_class: Annotated[int, Whole(1, 1_000_000, "more than the rows of a pool of a million")] = 20
    device: str = "cpu"

    def __post_init__(self) -> None:
        parameters.check(self)
        parameters.selector_name("cold", self.cold)
        parameters.selector_name("warm", self.warm)
        if "auto" in (self.cold, self.warm):
            raise BadParameter('cold and warm must be other selectors than "auto"')
        parameters.device(self.device)

    def select(self, pool: Pool, budget: int, rng: np.random.Generator) -> Ranking:
        """Scores and notes are those of the selector in use."""
        return self._in_use(pool).select(pool, budget, rng)

    def sorts(self, pool: Pool) -> bool:
        """As the selector in use says."""
        used = self._in_use(pool)
        return isinstance(used, Sorts) and used.sorts(pool)

    def _in_use(self, pool: Pool) -> Selector:
        counts = pool.positives
        counts = counts[counts > 0]
        warm = pool.probs is not None and len(counts) > 0 and counts.min() >= self.labels_per_class
        return create_for(self.warm if warm else self.cold, self.device)

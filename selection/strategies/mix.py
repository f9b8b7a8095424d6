"""Mix: several selectors at once, each with a strength."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import numpy as np

from selection import parameters
from selection.contract import BadParameter, MissingProbabilities, Notes, Pool, Ranking
from selection.kernels.clean import require_finite
from selection.kernels.scores import descending
from selection.parameters import Whole
from selection.registry import FORMS, create_for, entry, register

STRONGEST = 1_000_000  # strengths count by their ratio: beside such a one a part of strength 1 has no say


@register("mix", tags={"conditions"}, refers={"parts"}, forms=FORMS)
@dataclass(frozen=True)
class Mix:
    """Images that several selectors like at once: the product of their utilities, each to the power of its strength.

    Combining selection strategies by a product of normalised utilities follows LightlyOne's selection
    (docs.lightly.ai); normalising by place is ours, as scores of different methods share no scale. Each part ranks
    m = reach * budget rows; the row in place t has utility 1 - t / m, rows outside have 1 / (2 m). Ties go to the
    lowest row. Parts that choose greedily do so on their own: they do not see what the others took.
    Cost that of all parts for m rows, + m log m.

    parts : names of selectors with their strengths, from 1e-6 to 1e6. reach : rows asked of each part for each pick.
    device : passed on.
    """

    parts: dict[str, float] = field(default_factory=lambda: {"typiclust": 1.0, "coreset": 0.5})
    reach: Annotated[int, Whole(1, 1_000_000, "one pick already asks for all rows of a pool of a million")] = 4
    device: str = "cpu"

    def __post_init__(self) -> None:
        parameters.check(self)
        if not isinstance(self.parts, dict) or not self.parts:
            raise BadParameter(
                f'parts must name selectors with strengths, like {{"margin": 1}}, got {str(self.parts)[:60]}'
            )
        for name, strength in self.parts.items():
            parameters.selector_name("parts", name)
            parameters.number(f"parts: strength of {name}", strength, 1e-6, STRONGEST)
        if "mix" in self.parts:
            raise BadParameter('parts must be other selectors than "mix"')
        parameters.device(self.device)

    def __hash__(self) -> int:
        return hash((tuple(sorted(self.parts.items())), self.reach, self.device))

    def select(self, pool: Pool, budget: int, rng: np.random.Generator) -> Ranking:
        """Scores are the products, in (0, 1]."""
        require_finite(pool)
        self._require_probs(pool)
        candidates = pool.candidates
        m = min(len(candidates), self.reach * budget)
        names = sorted(self.parts)  # the order in which they are named has no say
        logs = np.zeros(len(pool))
        places = {}
        for name, generator in zip(names, rng.spawn(len(names)), strict=True):
            places[name] = np.full(len(pool), -1, np.int64)
            head = create_for(name, self.device).select(pool, m, generator).rows
            places[name][head] = np.arange(len(head))
            utility = np.where(places[name] >= 0, 1 - places[name] / max(m, 1), 0.5 / max(m, 1))
            logs += self.parts[name] * np.log(utility)
        products = np.exp(logs[candidates])
        order = descending(logs[candidates])[:budget]
        rows = candidates[order]

        def say(at: int) -> str:
            told = [
                f"place {places[name][rows[at]] + 1} of {name}"
                if places[name][rows[at]] >= 0
                else f"not among the first {m} of {name}"
                for name in names
            ]
            return ", ".join(told)

        return Ranking(rows, products[order], Notes(len(rows), say))

    def _require_probs(self, pool: Pool) -> None:
        missing = [name for name in sorted(self.parts) if "probs" in entry(name).needs]
        if missing and pool.probs is None:
            raise MissingProbabilities(
                f"{', '.join(missing)} in parts needs class probabilities; give pool.probs or leave it out"
            )

"""ActiveFT: as many free centroids as picks, drawn to the pool and pushed off each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
from numpy.typing import NDArray

from selection import parameters
from selection.contract import BadParameter, IntArray, Notes, Pool, Ranking
from selection.kernels.clean import require_finite
from selection.parameters import Number, Whole
from selection.registry import FORMS, register

if TYPE_CHECKING:
    from selection.strategies.activeft.attraction import Descent, UnitRows

_ORDER_SAMPLE = 16384


@register("activeft", tags={"geometric", "conditions"}, forms=FORMS)
@dataclass(frozen=True)
class ActiveFT:
    """Images that together are distributed like the pool, yet keep apart from each other and from what is labeled.

    Xie et al., "Active finetuning: exploiting annotation budget in the pretraining-finetuning paradigm", CVPR 2023.
    With `batch` >= budget, no labels and the same start, picks are those of the published code; it is replaced by a
    closed-form gradient with our own Adam, about a third of its products and no n x k array. Where we differ: the
    repulsion is summed in logarithms, so that any temperature works; labeled and skipped rows are frozen centroids,
    compared once; a budget over `batch` is ranked in chunks, each frozen for the next, so that a long ranking begins
    with a good short one; inside a chunk the order is greedy facility location, where the published code sorts rows.
    Random only through the start (and the rows of a step). Cost 2 n k d `iterations` flops whatever `batch`; memory
    n d float32 for the unit rows, plus O(n).

    The fast form is `rows_per_step=8192, iterations=100, rate=3e-3`, optionally `precision="bfloat16"`: each step sees
    a fresh draw of rows, no unit copy is kept, and the cost of a step does not depend on n. Picks are others, but
    neither their loss nor a probe's accuracy is worse (10 seeds, docs/benchmarks-selection.md).

    iterations, rate : steps of Adam and its rate. temperature, balance : of the loss. batch : picks of one chunk.
    rows_per_step : rows of one step, 0 for all. precision : "float32", "float64" or, in the fast form, "bfloat16".
    device : torch device.
    """

    iterations: Annotated[
        int, Whole(0, 10_000, "the loss of Adam is flat after a few hundred steps, and each costs a pass over the pool")
    ] = 300
    rate: Annotated[float, Number(1e-12, 10, "a step is then longer than the unit rows that it moves")] = 1e-3
    temperature: Annotated[float, Number(1e-4, 1000, "all rows pull alike long before")] = 0.07
    balance: Annotated[float, Number(1e-12, 1_000_000, "nothing is left of the other part of the loss")] = 1.0
    batch: Annotated[int, Whole(1, 1_000_000, "more than the rows of a pool of a million")] = 250
    rows_per_step: Annotated[int, Whole(0, 1_000_000, "a step on so many rows gains nothing over all of them (0)")] = 0
    precision: str = "float32"
    device: str = "cpu"

    def __post_init__(self) -> None:
        parameters.check(self)
        parameters.one_of("precision", self.precision, ("float32", "float64", "bfloat16"))
        parameters.device(self.device)
        if self.precision == "bfloat16" and not self.rows_per_step:
            raise BadParameter('precision "bfloat16" is for the fast form: give rows_per_step, for example 8192')

    def select(self, pool: Pool, budget: int, rng: np.random.Generator) -> Ranking:
        """Scores are cosines between a pick and the centroid that took it."""
        from selection.strategies.activeft.attraction import UnitRows

        require_finite(pool)
        free = pool.free
        budget = min(budget, int(free.sum()))
        unit = UnitRows(
            pool.features,
            hold=not self.rows_per_step and budget > 0,
            precision=self.precision,
            device=self.device,
        )
        rows: IntArray = np.empty(0, np.int64)
        scores: NDArray[np.float64] = np.empty(0)
        while len(rows) < budget:
            chunk = min(self.batch, budget - len(rows))
            start = rng.choice(np.flatnonzero(free), chunk, replace=False)
            frozen = np.concatenate([pool.covered, rows])
            picked, cosines = _one_chunk(unit, start, frozen, free, self._descent(), rng)
            order = _in_order(unit, picked, frozen, self.device)
            rows, scores = np.concatenate([rows, picked[order]]), np.concatenate([scores, cosines[order]])
            free[picked] = False

        def say(at: int) -> str:
            return f"stands for a part of the pool that nothing else covers (cosine to its center {scores[at]:.2f})"

        return Ranking(rows, scores, Notes(len(rows), say))

    def _descent(self) -> Descent:
        from selection.strategies.activeft.attraction import Descent

        return Descent(self.iterations, self.rate, self.temperature, self.balance, self.rows_per_step, self.precision)


def _one_chunk(
    unit: UnitRows,
    start: IntArray,
    frozen: IntArray,
    free: NDArray[np.bool_],
    how: Descent,
    rng: np.random.Generator,
) -> tuple[IntArray, NDArray[np.float64]]:
    """Rows and cosines of one chunk, in the order of the centroids that began at `start`."""
    from selection.strategies.activeft.attraction import claim_rows, fit_centroids

    if len(start) == int(free.sum()):  # all that is left: nothing to choose
        return np.flatnonzero(free), np.ones(len(start))
    centers, _ = fit_centroids(unit, start, frozen, how, rng)
    return claim_rows(unit, centers, free)


def _in_order(unit: UnitRows, picked: IntArray, frozen: IntArray, device: str) -> IntArray:
    """Positions of `picked` in greedy facility-location order on cosines; an even sample stands for a large pool."""
    from selection.kernels.greedy import facility_order

    sample = np.unique(np.linspace(0, len(unit) - 1, min(len(unit), _ORDER_SAMPLE)).astype(np.int64))
    shown = unit.take(np.concatenate([sample, picked, frozen])).float().cpu().numpy()
    places = np.arange(len(sample), len(shown))  # positions in `shown`, not pool rows
    return facility_order(shown, places[: len(picked)], covered=places[len(picked) :], device=device)

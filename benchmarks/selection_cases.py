"""What `benchmarks.selection` can time, in CPU seconds: for each method ours and the published form."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

import selection
from benchmarks import selection_work
from benchmarks.reference import activeft, badge, bilaf, coreset, kmeans, probcover, typiclust
from selection.kernels.kmeans import kmeans as kmeans_of
from selection.strategies.activeft.attraction import Descent, UnitRows, claim_rows, fit_centroids
from selection.strategies.bilaf.boundary import two_nearest
from selection.strategies.bilaf.selector import BiLAF, pick_all
from selection.strategies.graphcover import levels


@dataclass(frozen=True)
class Work:
    """What a case runs on. probs are drawn, delta is a fixed quantile of distances, cores are random rows."""

    features: np.ndarray
    budget: int
    start: np.ndarray
    delta: float

    @property
    def pool(self) -> selection.Pool:
        return selection.Pool(self.features, np.full(len(self.features), selection.UNLABELED, np.int64))

    @property
    def cores(self) -> np.ndarray:
        """50 rows for BiLAF, the same for both forms and not timed."""
        return np.sort(selection.create("kmeans").select(self.pool, 50, np.random.default_rng(3)).rows)

    @property
    def probs(self) -> np.ndarray:
        return np.random.default_rng(1).dirichlet(np.full(10, 0.3), size=len(self.features))

    @property
    def unit(self) -> np.ndarray:
        x = self.features.astype(np.float32)
        return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


@dataclass(frozen=True)
class Done:
    """CPU seconds for the whole task (extrapolated if `how` says so), what was picked, and how that was timed.

    passes : type -> GFLOP, "read" -> GB of its own passes, where these depend on the data.
    """

    seconds: float
    rows: list[int]
    how: str = "whole run"
    passes: dict[str, float] | None = None


Case = Callable[[Work], Done]
_STEPS = (2, 6)  # ActiveFT's steps between which its slope is measured


def _timed(run: Callable[[], list[int]], how: str = "whole run") -> Done:
    begin = time.process_time()
    rows = run()
    return Done(time.process_time() - begin, [int(row) for row in rows], how)


def _slope(run: Callable[[int], object], few: int, more: int, whole: int) -> float:
    """Seconds for `whole` steps from the times of `few` and `more`; the first call warms up."""
    run(1)
    begin = time.process_time()
    run(few)
    middle = time.process_time()
    run(more)
    end = time.process_time()
    step = ((end - middle) - (middle - begin)) / (more - few)
    return (middle - begin) + step * (whole - few)


def _named(name: str, **params: object) -> Case:
    def run(work: Work) -> Done:
        chosen = selection.create(name, **params)
        pool = selection.Pool(work.features, work.pool.labels, work.probs if name in ("badge", "margin") else None)
        return _timed(lambda: chosen.select(pool, work.budget, np.random.default_rng(0)).rows.tolist())

    return run


def _our_graphcover(work: Work) -> Done:
    levels.forget()  # the graphs count
    return _named("graphcover")(work)


def _our_activeft(work: Work) -> Done:
    unit = UnitRows(work.features, hold=True, precision="float32", device="cpu")
    none = np.empty(0, np.int64)

    def fit(steps: int) -> torch.Tensor:
        how = Descent(steps, 1e-3, 0.07, 1.0, 0, "float32")
        return fit_centroids(unit, work.start, none, how, np.random.default_rng(0))[0]

    seconds = _slope(fit, *_STEPS, 300)
    centers = fit(_STEPS[1])
    claim = _timed(lambda: claim_rows(unit, centers, np.ones(len(unit), bool))[0].tolist())
    return Done(seconds + claim.seconds, claim.rows, f"slope of steps {_STEPS[0]}-{_STEPS[1]}, times 300")


def _their_activeft(work: Work) -> Done:
    unit = torch.from_numpy(work.unit)
    seconds = _slope(lambda steps: activeft.fit(unit, work.start, steps), *_STEPS, 300)
    centers = activeft.fit(unit, work.start, _STEPS[1])
    claim = _timed(lambda: activeft.assign(unit, centers))
    return Done(seconds + claim.seconds, claim.rows, f"slope of steps {_STEPS[0]}-{_STEPS[1]}, times 300")


def _our_bilaf(work: Work) -> Done:
    cores = work.cores

    def run() -> list[int]:
        borders = two_nearest(work.features, cores, "cpu")
        chosen = pick_all(BiLAF(), work.pool, cores, borders, work.budget)
        return [row for group in chosen for row, _ in group]

    done = _timed(run, "whole run after the cores (50 given)")
    n, d = work.features.shape
    sizes = np.bincount(two_nearest(work.features, cores, "cpu").own).astype(float)
    passes = {"float32": 1e-9 * d * float((sizes**2).sum()), "float64": 2e-9 * n * d * len(cores)}
    return replace(done, passes=passes)


def _our_typiclust(work: Work) -> Done:
    done = _named("typiclust")(work)
    n, d = work.features.shape
    k = min(work.budget, selection_work.CLUSTERS)
    sizes = kmeans_of(work.features, k, np.random.default_rng(0), iterations=1, unit=True).sizes.astype(float)
    passes = selection_work.clustering(n, d, k, passes=2)
    passes["float32"] += 1e-9 * d * float((sizes**2).sum())
    return replace(done, passes=passes)


def _their_bilaf(work: Work) -> Done:
    cores = work.cores

    def run() -> list[int]:
        return bilaf.pick(work.features, cores, work.budget, slip=False)

    return _timed(run, "whole run after the cores (50 given), its slip mended")


def _their_probcover(work: Work) -> Done:
    def run() -> list[int]:
        left, right = probcover.build(work.unit, work.delta)
        return probcover.pick(left, right, len(work.features), work.budget)

    return _timed(run)


def _our_probcover(work: Work) -> Done:
    return _named("probcover", delta=work.delta)(work)


def _their_badge(work: Work) -> Done:
    gradients = badge.embed(work.features.astype(np.float32), work.probs)
    begin = time.process_time()
    rows = badge.pick(gradients, 13, np.random.default_rng(0))
    seconds = (time.process_time() - begin) / 12 * work.budget
    return Done(seconds, rows, "slope of 12 picks, embedding not counted")


def _their_coreset(work: Work) -> Done:
    first = int(selection.create("coreset").select(work.pool, 1, np.random.default_rng(0)).rows[0])
    few = min(work.budget, 200)
    done = _timed(lambda: coreset.pick(work.features.astype(np.float32, copy=False), first, few))
    return Done(done.seconds / few * work.budget, done.rows, f"slope of {few} picks")


CASES: dict[str, tuple[Case, Case | None]] = {
    "activeft": (_our_activeft, _their_activeft),
    "activeft-fast": (_named("activeft", rows_per_step=8192, iterations=100, rate=3e-3, batch=1_000_000), None),
    "badge": (_named("badge"), _their_badge),
    "bilaf": (_our_bilaf, _their_bilaf),
    "coreset": (_named("coreset"), _their_coreset),
    "graphcover": (_our_graphcover, None),
    "kmeans": (
        _named("kmeans"),
        lambda work: _timed(lambda: kmeans.pick(work.unit, work.budget, 10), "whole run, 10 iterations"),
    ),
    "margin": (_named("margin"), None),
    "probcover": (_our_probcover, _their_probcover),
    "random": (_named("random"), None),
    "typiclust": (_our_typiclust, lambda work: _timed(lambda: typiclust.pick(work.unit, work.budget))),
}
"""name -> (ours, published form); None where there is none of its own: the ratio is against `COMPARED` then."""

COMPARED = {"activeft-fast": "activeft"}
SAME_PICKS = ("activeft", "badge", "bilaf", "coreset", "probcover")
"""Methods whose picks must be the published form's on the same start; the others share only the rule."""

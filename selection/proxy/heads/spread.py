"""The `spread` head: labels flow over the pool's neighbourhood graph, a linear student evens out what arrived,

and one Gaussian a class, read from the student's guesses about the whole pool, answers where held-out labels agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selection.contract import IntArray
from selection.kernels.graph import SparseGraph
from selection.proxy.calibration import NO_FOLD, fit_temperature
from selection.proxy.heads.gaussian import Gaussians
from selection.proxy.heads.register import Training, View, head
from selection.proxy.heads.smooth import smoothed

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

REACHES = (0.95, 0.9, 0.98)
"""Candidate shares of mass that flow on at each step; the first serves while few labels can judge."""
STEPS = 20
RIDGE = 1e-2
FLOOR = 1e-3
ENOUGH = 30
"""Labels held out before they choose the reach."""
MANY_COLUMNS = 128
MANY = 500  # labels of which half judge the other half as well
GAUSSIAN_TEMPERATURE = 3.0  # before labels correct it: neighbours share their errors
USUAL_TEMPERATURE = 0.3
"""The student's shares are much flatter than its hits deserve; held-out labels correct this, with this as the prior."""


@dataclass(frozen=True, slots=True, eq=False)
class SpreadFit:
    """probs (n, c) float32 of the pool; out_of_fold (m, c) float64 log probabilities, NaN where not held out.

    reached (n,) bool: False where no label arrived, and the row keeps the prior.
    """

    probs: Float32
    out_of_fold: Float64
    reached: NDArray[np.bool_]
    reach: float


def fit_spread(graph: SparseGraph, rows: IntArray, labels: IntArray, folds: IntArray, n_classes: int) -> SpreadFit:
    """Spread `labels` (m,) of pool rows `rows` (m,) over the graph; `folds` (m,) as `stratified_folds` gives them.

    Q = (1 - a) sum_t a^t S^t Y, Y one-hot over class counts (Zhou et al., "Learning with Local and Global
    Consistency", NIPS 2003), rows scaled to sum 1. We differ: a linear model on the graph's unit rows is fitted
    to Q and answers instead of it, which takes away the accidents of single edges (2 to 3 points more at 5 to 25
    labels a class); a is chosen out of fold. The student's guesses then set the class means of a discriminant whose
    covariance is the pool's (`Gaussians`), which answers while few labels can judge, and later where they prefer it.
    Held out means held out: spreading is linear, so each fold's labels flow alone, once, and are left out of the sum
    that judges them. Cost 20 nnz c folds, and some passes over n x p a fold.

    Evidence for `Gaussians` and the blend's firmer prior together, as points that `auto` gained on CIFAR-10 at 1, 2, 5,
    10 and 25 labels a class: random labels 1.7, 2.9, 2.8, 1.8, -0.1; chosen by graphcover 2.8, 2.3, 1.3, 0.6, -0.5, and
    there the calibration error rose by 1 to 4 points. Ten draws; images other than those that the settings were
    chosen on, save that some had been labeled rows then. The loss at 25 a class is real (both halves of the draws).
    """
    seen = np.unique(labels)
    compact = np.searchsorted(seen, labels)
    groups = _groups(folds, len(seen))
    n_groups = int(groups.max()) + 1
    flows = _flow(graph, rows, compact, groups, n_groups, len(seen))
    counts = np.zeros((n_groups, len(seen)))
    np.add.at(counts, (groups, compact), 1)
    design = np.concatenate([graph.unit, np.ones((len(graph), 1), np.float32)], axis=1)  # (n, p + 1)
    gram = (design.T @ design).astype(np.float64)
    solver = np.linalg.inv(gram + RIDGE * len(graph) / len(gram) * np.eye(len(gram))).astype(np.float32)

    judged = folds != NO_FOLD

    def without(place: int, group: int) -> Float32:
        others = (np.arange(n_groups) != group).astype(np.float32)  # summed, not subtracted: 0 stays 0
        return _shares(np.einsum("ngc,g->nc", flows[place], others), others @ counts)[0]

    best: tuple[float, int, float, Float64] | None = None
    for place in range(len(REACHES) if judged.sum() >= ENOUGH else 1):
        held_out: Float64 = np.full((len(rows), len(seen)), np.nan)
        for group in np.unique(groups[judged]):
            mine = groups == group
            held_out[mine] = _log(_student(design, solver, without(place, group), rows[mine]))
        temperature, loss = fit_temperature(held_out[judged] / USUAL_TEMPERATURE, compact[judged], strength=4.0)
        temperature *= USUAL_TEMPERATURE
        if best is None or loss < best[0]:
            best = (loss, place, temperature, held_out / temperature)
    assert best is not None
    least, place, temperature, held_out = best

    def guess(shares: Float32) -> Float32:
        return _softmax(_log(_student(design, solver, shares, None)) / temperature)

    shares, reached = _shares(flows[place].sum(axis=1), counts.sum(axis=0))
    inside = guess(shares)
    gaussians = Gaussians(smoothed(graph))
    again: Float64 = np.full_like(held_out, np.nan)
    for group in np.unique(groups[judged]):
        mine = groups == group
        again[mine] = gaussians.logits(guess(without(place, group)), rows[~mine], compact[~mine], rows[mine])
    softer, loss = fit_temperature(again[judged] / GAUSSIAN_TEMPERATURE, compact[judged], strength=4.0)
    softer *= GAUSSIAN_TEMPERATURE
    if judged.sum() < ENOUGH or loss < least:
        held_out = again / softer
        inside = _softmax(gaussians.logits(inside, rows, compact) / softer)
    inside[~reached] = shares[~reached]
    probs = np.zeros((len(graph), n_classes), np.float32)
    probs[:, seen] = inside
    return SpreadFit(probs, _widen(held_out, judged, seen, n_classes), reached, REACHES[place])


def _softmax(logits: NDArray[np.floating]) -> Float32:
    out = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: Float32 = (out / out.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares


def _groups(folds: IntArray, n_seen: int) -> IntArray:
    """Labels that flow together: the folds (merged while columns would be too many), and one more for the unjudged."""
    n_folds = 2 if len(folds) > MANY else max(2, min(5, MANY_COLUMNS // n_seen - 1))
    groups = np.where(folds == NO_FOLD, n_folds, folds % n_folds)
    out: IntArray = np.unique(groups, return_inverse=True)[1].astype(np.int64)
    return out


def _flow(
    graph: SparseGraph, rows: IntArray, compact: IntArray, groups: IntArray, n_groups: int, n_seen: int
) -> list[Float32]:
    """For each reach the mass that arrives from each group's labels, (n, n_groups, n_seen); one walk serves all."""
    mass: Float32 = np.zeros((len(graph), n_groups * n_seen), np.float32)
    np.add.at(mass, (rows, groups * n_seen + compact), 1)
    totals = [(1 - a) * mass for a in REACHES]
    for step in range(1, STEPS + 1):
        mass = graph.propagate(mass).astype(np.float32, copy=False)
        for total, a in zip(totals, REACHES, strict=True):
            total += np.float32((1 - a) * a**step) * mass
    return [total.reshape(len(graph), n_groups, n_seen) for total in totals]


def _shares(mass: Float32, counts: Float64) -> tuple[Float32, NDArray[np.bool_]]:
    """Mass (n, c) per label of each class, rows to sum 1; rows that nothing reached get the smoothed class shares."""
    shares = mass / np.maximum(counts, 1).astype(np.float32)
    total = shares.sum(axis=1, keepdims=True)
    reached = total[:, 0] > 0
    prior = ((counts + 1) / (counts + 1).sum()).astype(np.float32)
    out = np.where(reached[:, None], shares / np.where(total > 0, total, 1), prior)
    return out, reached


def _student(design: Float32, solver: Float32, shares: Float32, rows: IntArray | None) -> Float32:
    """Ridge regression of the shares on the graph's unit rows, at `rows` or everywhere."""
    weights = solver @ (design.T @ shares)
    out: Float32 = (design if rows is None else design[rows]) @ weights
    return out


def _log(values: Float32) -> Float64:
    """Log of regression outputs taken as shares: floored, rows to sum 1."""
    floored = np.maximum(values.astype(np.float64), FLOOR)
    out: Float64 = np.log(floored / floored.sum(axis=1, keepdims=True))
    return out


def _widen(held_out: Float64, judged: NDArray[np.bool_], seen: IntArray, n_classes: int) -> Float64:
    """Held-out log probabilities over all classes, -inf for those without labels."""
    from scipy.special import log_softmax

    out = np.full((len(held_out), n_classes), np.nan)
    out[judged] = -np.inf
    out[np.ix_(judged, seen)] = log_softmax(held_out[judged], axis=1)
    return out


@head("spread", needs_graph=True)
def spread(training: Training) -> View:
    """See `fit_spread`."""
    found = fit_spread(training.pool_graph, training.rows, training.labels, training.fit.folds, training.n_classes)
    return View(found.probs, found.out_of_fold, unreached=int((~found.reached).sum()))

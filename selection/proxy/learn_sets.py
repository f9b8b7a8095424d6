"""One call from features and sets of classes to calibrated presences of the whole pool and a report on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from selection.contract import LABELED, BadParameter, BoolArray, FloatArray, IntArray
from selection.kernels.graph import SparseGraph
from selection.proxy.calibrate_sets import Scaling, fit_scaling, log_loss_of_sets, thresholds
from selection.proxy.heads.blend import PRIOR_WEIGHTS, STRENGTH, prior_weights, simplex
from selection.proxy.heads.linear import moments
from selection.proxy.heads.sets import register as heads
from selection.proxy.heads.sets.linear import SetHead, calibrated, fit_linear_sets
from selection.proxy.heads.sets.register import Training, View
from selection.proxy.metrics_sets import SetMetrics, judge_sets

Float64 = NDArray[np.float64]

MOST_SPREAD = 1000
"""Labels from which `auto` leaves `spread` out: it answers no better by then, and costs the most."""
MOST_WEIGHED = 200_000
"""Presences that choose the weights: evenly spread ones of more."""
LOG_FLOOR = 12.0  # logits are weighed within this range: one head's certainty must not drown the others


@dataclass(frozen=True, slots=True, eq=False)
class SetReport:
    """Judgement of a head for sets by labels that it did not see (out of fold; actively chosen rows are not the pool).

    kind : "linear", "spread", "smooth" or "auto"; weights : share of each kind in the logits, summing to 1.
    metrics : mean average precision, macro F1 at `thresholds` and exact sets, with intervals for one look.
    log_loss : mean over held-out presences, in nats; ece : gap between presence and how often it came true, over ten
        bins of equally many held-out presences. Both 0.0 when nothing was judged.
    thresholds (c,) : see `selection.proxy.calibrate_sets.thresholds`. positives (c,) : labels that show each class.
    n_labels : labels given; n_judged : rows held out once (copies of a row count once). l2 : of the linear head.
    """

    kind: str
    weights: Mapping[str, float]
    metrics: SetMetrics
    log_loss: float
    ece: float
    thresholds: Float64
    positives: IntArray
    n_labels: int
    n_judged: int
    l2: float


@dataclass(frozen=True, slots=True, eq=False)
class LearnedSets:
    """probs (n, c) float32, independent presences; the report; the linear head, calibrated, for rows outside the pool
    (`selection.proxy.heads.sets.linear.presences`)."""

    probs: NDArray[np.float32]
    report: SetReport
    head: SetHead


def learn_sets(
    features: FloatArray,
    present: BoolArray,
    marks: IntArray,
    *,
    kind: str = "linear",
    graph: SparseGraph | None = None,
    seed: int = 0,
    device: str = "cpu",
    scaling: tuple[Float64, Float64] | None = None,
) -> LearnedSets:
    """Train a head on the labeled rows of a pool of sets and predict all of its rows; `learn` for one class a row.

    features (n, d); present (n, c) bool; marks (n,) `LABELED`, `UNLABELED` or `SKIPPED` as in `Pool`: only labeled rows
    are trained on, so the caller marks audit rows SKIPPED. Copies of a row with the same set count once.
    kind : "linear", the pool-aware "spread" and "smooth", or "auto", which pools the logits of all three (spread up to
        1,000 labels) with weights by held-out log loss and a prior. Without a graph "auto" is linear.
    graph, scaling : `knn_graph(features)` and `moments(features)`, as for `learn`; keep both per feature version.

    A class that no label shows, or that all show, has presence (positives + 1/2) / (labels + 1) everywhere: 1/2 while
    there is no label. Presences are calibrated class by class, shrunk to what all classes share.

    How the backend uses it: `probs` go into `Pool(features, probs=probs, present=present, marks=marks)` for the
    selector; `suggestions(probs, report.thresholds)` says what to tick; `audit_sets` judges them on audit rows.
    Raises `BadParameter` for an unknown kind, a missing graph or shapes that do not fit.
    """
    _check(features, present, marks, kind, graph)
    given = np.flatnonzero(marks == LABELED)
    rows = _distinct(features, present, given)
    mean, scale = moments(features, device) if scaling is None else scaling
    fit = fit_linear_sets(features[rows], present[rows], seed=seed, mean=mean, scale=scale, device=device)
    training = Training(features, rows, present[rows], fit, graph, seed, device)
    kinds = [kind]
    if kind == "auto":
        kinds = ["linear"] if graph is None else [k for k in PRIOR_WEIGHTS if k != "spread" or len(rows) <= MOST_SPREAD]
    truth, counts = present[rows], present[rows].sum(0)
    linear = fit_scaling(fit.out_of_fold, truth)
    views = [_calibrated(heads.entry(k).fit(training), truth, linear if k == "linear" else None) for k in kinds]
    weights = _weights(kinds, [view.out_of_fold for view in views], truth)
    mixed = _calibrated(_pooled(views, weights), truth) if len(kinds) > 1 else views[0]
    probs = expit(mixed.logits).astype(np.float32)
    lone = (counts == 0) | (counts == len(rows))
    probs[:, lone] = ((counts + 0.5) / (len(rows) + 1))[lone]
    report = _report(kind, dict(zip(kinds, weights.tolist(), strict=True)), mixed, training, len(given), seed)
    slope, shift = np.where(lone, 1.0, linear.slope), np.where(lone, 0.0, linear.shift)
    return LearnedSets(probs, report, calibrated(fit.head, slope, shift))


def _calibrated(view: View, truth: BoolArray, known: Scaling | None = None) -> View:
    how = fit_scaling(view.out_of_fold, truth) if known is None else known
    return View(how.apply(view.logits).astype(np.float32), how.apply(view.out_of_fold))


def _pooled(views: list[View], weights: Float64) -> View:
    """The weighted mean of the logits: a logarithmic opinion pool of each class's two outcomes."""
    logits = sum(np.clip(v.logits, -LOG_FLOOR, LOG_FLOOR) * w for v, w in zip(views, weights, strict=True))
    held_out = sum(np.clip(v.out_of_fold, -LOG_FLOOR, LOG_FLOOR) * w for v, w in zip(views, weights, strict=True))
    return View(np.asarray(logits, np.float32), np.asarray(held_out, np.float64))


def _weights(kinds: list[str], out_of_fold: list[Float64], truth: BoolArray) -> Float64:
    """Posterior mean of the weights on the simplex, by the log loss of held-out presences: see `blend_weights`."""
    if len(kinds) == 1:
        return np.ones(1)
    seen = truth.sum(0)
    prior = prior_weights(kinds, float(seen[seen > 0].mean()) if (seen > 0).any() else 0.0)
    points = simplex(len(kinds))
    score = -STRENGTH / 2 * ((points - prior) ** 2).sum(1)
    most = max(1, MOST_WEIGHED // max(1, truth.shape[1]))
    part = np.linspace(0, len(truth) - 1, min(len(truth), most)).astype(np.int64)
    if len(part):
        stack = np.stack([np.clip(view[part], -LOG_FLOOR, LOG_FLOOR) for view in out_of_fold])  # (k, m, c)
        known = ~np.isnan(stack).any(0)
        stack, there = stack[:, known].astype(np.float32), truth[part][known]
        for i, point in enumerate(points):
            mixed = point.astype(np.float32) @ stack
            score[i] -= log_loss_of_sets(mixed, there).sum() * len(truth) / len(part)
    belief = np.exp(score - score.max())
    out: Float64 = belief @ points / belief.sum()
    return out


def _report(
    kind: str, weights: Mapping[str, float], view: View, training: Training, n_labels: int, seed: int
) -> SetReport:
    truth = training.present
    known = ~np.isnan(view.out_of_fold)
    probs = np.where(known, expit(view.out_of_fold), np.nan)
    judged = known.any(1)
    cut = thresholds(probs[judged])
    loss = log_loss_of_sets(view.out_of_fold[known], truth[known])
    return SetReport(
        kind=kind,
        weights=weights,
        metrics=judge_sets(probs[judged], truth[judged], cut, seed=seed),
        log_loss=float(loss.mean()) if len(loss) else 0.0,
        ece=_calibration_error(probs[known], truth[known]),
        thresholds=cut,
        positives=truth.sum(0).astype(np.int64),
        n_labels=n_labels,
        n_judged=int(judged.sum()),
        l2=training.fit.l2,
    )


def _calibration_error(probs: Float64, there: BoolArray, bins: int = 10) -> float:
    if not len(probs):
        return 0.0
    parts = np.array_split(np.argsort(probs, kind="stable"), max(1, min(bins, len(probs) // 10)))
    return sum(abs(float(probs[part].mean() - there[part].mean())) * len(part) for part in parts) / len(probs)


def _check(features: FloatArray, present: BoolArray, marks: IntArray, kind: str, graph: SparseGraph | None) -> None:
    if present.ndim != 2 or len(present) != len(features) or marks.shape != (len(features),):
        raise BadParameter(
            f"present must be ({len(features)}, c) and marks ({len(features)},) like the features' rows, "
            f"got {present.shape} and {marks.shape}"
        )
    if kind != "auto" and heads.entry(kind).needs_graph and graph is None:
        raise BadParameter(f"{kind} needs the pool's graph; hand over graph=knn_graph(features)")
    if graph is not None and len(graph) != len(features):
        raise BadParameter(f"the graph has {len(graph)} rows and the pool {len(features)}; build it of this pool")


def _distinct(features: FloatArray, present: BoolArray, given: IntArray) -> IntArray:
    """The labeled rows without later copies of the same features with the same set."""
    first: dict[tuple[bytes, bytes], int] = {}
    for row in given:
        first.setdefault((present[row].tobytes(), features[row].tobytes()), int(row))
    return np.array(list(first.values()), np.int64)

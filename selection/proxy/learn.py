"""One call from features and labels to class probabilities of the whole pool and a report on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selection.contract import BadParameter, FloatArray, IntArray
from selection.kernels.graph import SparseGraph
from selection.proxy.calibration import NO_FOLD, fit_temperature, log_softmax, softmax
from selection.proxy.heads import register as heads
from selection.proxy.heads.blend import PRIOR_WEIGHTS, blend_weights, pool_logs, prior_weights
from selection.proxy.heads.linear import LinearHead, fit_linear, moments
from selection.proxy.heads.register import Training, View
from selection.proxy.report import HeadReport, judge

NEGLIGIBLE = 0.01
"""Weight below which, with so many labels, `spread` is not worth its time (about 400 labels a class)."""
Scaling = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """probs (n, c) float32, rows sum to 1; what the labels say of them; the linear head for rows outside the pool."""

    probs: NDArray[np.float32]
    report: HeadReport
    head: LinearHead


def learn(
    features: FloatArray,
    labels: IntArray,
    n_classes: int,
    *,
    kind: str = "linear",
    graph: SparseGraph | None = None,
    seed: int = 0,
    device: str = "cpu",
    scaling: Scaling | None = None,
) -> Learned:
    """Train a head on the labeled rows of a pool and predict all of its rows.

    features (n, d); labels (n,) with -1 unlabeled and -2 skipped, which are not trained on. Copies of a row with
    one label count once: neither do they vote twice nor does one judge the other.
    kind : "linear", the paper's "mlp", the pool-aware "spread" and "smooth", or "auto", which pools linear,
        spread (below some 400 labels a class) and smooth by held-out log loss. Without a graph "auto" is linear.
    graph : `knn_graph(features)`, needed by "spread" and "smooth"; build it once per feature version.
    scaling : `moments(features)`, to be kept per feature version; computed when left out (one pass).

    Classes without labels have probability 0, all are alike while there is no label. Raises `BadParameter` for an
    unknown kind, a missing graph or one of another size, or a label >= n_classes.
    """
    _check(features, labels, n_classes, kind, graph)
    given = np.flatnonzero(labels >= 0)
    rows = _distinct(features, labels, given)
    scaling = moments(features, device) if scaling is None else scaling
    mean, scale = scaling
    fit = fit_linear(features[rows], labels[rows], n_classes, seed=seed, mean=mean, scale=scale, device=device)
    seen = len(np.unique(labels[rows]))
    if seen < 2 or (kind == "auto" and graph is None):
        kind = "linear"  # nothing to tell apart, or nothing to spread on
    training = Training(features, rows, labels[rows], n_classes, fit, mean, scale, graph, seed, device)
    judged = fit.folds != NO_FOLD
    truth = labels[rows][judged]
    if kind == "auto":
        view, weights = _pooled(training, judged, truth, len(rows) / seen)
    else:
        view, weights = heads.entry(kind).fit(training), {kind: 1.0}
    report = judge(
        kind,
        np.exp(view.out_of_fold[judged]),
        truth,
        n_labels=len(given),
        temperature=view.temperature,
        weights=weights,
        unreached=view.unreached,
    )
    return Learned(view.probs, report, fit.head)


def _pooled(
    training: Training, judged: NDArray[np.bool_], truth: IntArray, labels_a_class: float
) -> tuple[View, dict[str, float]]:
    """Pool the heads' log probabilities, then calibrate the pool."""
    usual = dict(zip(PRIOR_WEIGHTS, prior_weights(list(PRIOR_WEIGHTS), labels_a_class), strict=True))
    kinds = [k for k in usual if usual[k] > NEGLIGIBLE or k != "spread"]
    views = {k: heads.entry(k).fit(training) for k in kinds}
    held_out = [views[k].out_of_fold[judged] for k in kinds]
    weights = blend_weights(held_out, truth, prior_weights(kinds, labels_a_class))
    pooled = pool_logs(held_out, weights)
    temperature, _ = fit_temperature(pooled, truth)
    out_of_fold = np.full(views[kinds[0]].out_of_fold.shape, np.nan)
    out_of_fold[judged] = log_softmax(pooled / temperature)
    with np.errstate(divide="ignore"):
        logs = pool_logs([np.log(views[k].probs) for k in kinds], weights) / temperature
    probs = softmax(logs).astype(np.float32)
    unreached = max(view.unreached for view in views.values())
    return View(probs, out_of_fold, temperature, unreached), dict(zip(kinds, weights.tolist(), strict=True))


def _check(features: FloatArray, labels: IntArray, n_classes: int, kind: str, graph: SparseGraph | None) -> None:
    if kind != "auto" and heads.entry(kind).needs_graph and graph is None:
        raise BadParameter(f"{kind} needs the pool's graph; hand over graph=knn_graph(features)")
    if graph is not None and len(graph) != len(features):
        raise BadParameter(f"the graph has {len(graph)} rows and the pool {len(features)}; build it of this pool")
    if len(labels) and labels.max() >= n_classes:
        raise BadParameter(f"label {labels.max()} with n_classes={n_classes}; count every class of the project")


def _distinct(features: FloatArray, labels: IntArray, given: IntArray) -> IntArray:
    """The labeled rows without later copies of the same features under the same label."""
    first: dict[tuple[int, bytes], int] = {}
    for row in given:
        first.setdefault((int(labels[row]), features[row].tobytes()), int(row))
    return np.array(list(first.values()), np.int64)

"""One call from features and labels to class probabilities of the whole pool and a report on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from selection.contract import BadParameter, FloatArray, IntArray
from selection.proxy.calibration import NO_FOLD, softmax
from selection.proxy.head import LinearHead, fit_linear, moments, probabilities
from selection.proxy.report import HeadReport, judge

if TYPE_CHECKING:
    from selection.kernels.graph import SparseGraph

Kind = Literal["linear", "mlp", "spread", "smooth", "auto"]
KINDS: tuple[str, ...] = get_args(Kind)


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
    kind: Kind = "linear",
    graph: SparseGraph | None = None,
    seed: int = 0,
    device: str = "cpu",
    scaling: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
) -> Learned:
    """Train a head on the labeled rows of a pool and predict all of its rows.

    features (n, d); labels (n,) with -1 unlabeled and -2 skipped, which are not trained on.
    graph : `knn_graph(features)`, needed by "spread", "smooth" and, if it is to be more than linear, "auto".
    scaling : `moments(features)`, to be kept per feature version; computed when left out (one pass).

    Raises `BadParameter` for an unknown kind, a missing or unfit graph, or a label >= n_classes.
    """
    if kind not in KINDS:
        raise BadParameter(f"no head of kind {kind!r}; known: {', '.join(KINDS)}")
    if len(labels) and labels.max() >= n_classes:
        raise BadParameter(f"label {labels.max()} with n_classes={n_classes}; count every class of the project")
    rows = np.flatnonzero(labels >= 0)
    mean, scale = moments(features, device) if scaling is None else scaling
    fit = fit_linear(features[rows], labels[rows], n_classes, seed=seed, mean=mean, scale=scale, device=device)
    judged = fit.folds != NO_FOLD
    out_of_fold = softmax(fit.out_of_fold[judged] / fit.head.temperature)
    report = judge(
        "linear",
        out_of_fold,
        labels[rows][judged],
        n_labels=len(rows),
        temperature=fit.head.temperature,
    )
    return Learned(probabilities(fit.head, features, device), report, fit.head)

"""What a head knows of itself: accuracy with an interval, calibration, recall, confusions, all out of fold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selection.contract import IntArray
from selection.proxy.calibration import (
    Confusion,
    confusion_pairs,
    expected_calibration_error,
    log_loss,
    recall_per_class,
    wilson,
)


@dataclass(frozen=True, slots=True, eq=False)
class HeadReport:
    """Judgement of a head by labels that it did not see.

    accuracy, low, high : share right and its 95% Wilson interval; accuracy is None (interval 0..1) when nothing
        could be held out. Labels of a class with one label are not judged. Where the labels were chosen actively,
        this is the accuracy on chosen rows, not on the pool.
    ece : expected calibration error; log_loss : mean, in nats; both 0.0 when nothing was judged.
    recall : (c,) float64, NaN for a class not judged; confusion : the most frequent mistakes.
    temperature : of the linear head; kind : "linear", "mlp", "spread", "smooth" or "auto"; weights : share of each
        kind in the prediction, summing to 1.
    n_labels : labels given; n_judged : of these, held out once (copies of a row count once).
    unreached : pool rows to which no label spread; they keep the prior, and "auto" leaves them to the other heads.
    """

    kind: str
    accuracy: float | None
    low: float
    high: float
    ece: float
    log_loss: float
    recall: NDArray[np.float64]
    confusion: tuple[Confusion, ...]
    temperature: float
    weights: Mapping[str, float]
    n_labels: int
    n_judged: int
    unreached: int = 0


def judge(
    kind: str,
    probs: NDArray[np.float64],
    labels: IntArray,
    *,
    n_labels: int,
    temperature: float = 1.0,
    weights: Mapping[str, float] | None = None,
    unreached: int = 0,
) -> HeadReport:
    """Report on out-of-fold probabilities (m, c) of labels (m,)."""
    predicted = probs.argmax(axis=1) if len(labels) else labels
    hits = int((predicted == labels).sum())
    low, high = wilson(hits, len(labels))
    return HeadReport(
        kind=kind,
        accuracy=hits / len(labels) if len(labels) else None,
        low=low,
        high=high,
        ece=expected_calibration_error(probs, labels),
        log_loss=log_loss(probs, labels),
        recall=recall_per_class(predicted, labels, probs.shape[1]),
        confusion=confusion_pairs(predicted, labels),
        temperature=temperature,
        weights=dict(weights or {kind: 1.0}),
        n_labels=n_labels,
        n_judged=len(labels),
        unreached=unreached,
    )

"""Whether new features are better than old ones on labels that neither the fine-tuning nor the heads saw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selection.contract import BadParameter, FloatArray, IntArray
from selection.proxy.calibration import fit_temperature, softmax

LEVEL = 0.05
FLOOR = 1e-6


@dataclass(frozen=True, slots=True)
class Comparison:
    """The two heads on the same labels; `p` is one-sided, for "the new one is no better"."""

    labels: int
    accuracy_old: float
    accuracy_new: float
    gain: float  # mean fall of the log loss, nats
    p: float
    better: bool
    reason: str


def compare(old: FloatArray, new: FloatArray, labels: IntArray) -> Comparison:
    """Paired test of two heads' probabilities (m, c) on labels (m,) unseen by both.

    The new features are better if the mean log loss falls (one-sided paired t-test at 5%) and the accuracy does not.
    The log loss is tested, not the accuracy: with the 40 labels that a first renewal holds out, only it can tell.
    Raises `BadParameter` for shapes that do not fit.
    """
    if old.shape != new.shape or labels.shape != (len(old),):
        raise BadParameter(f"probabilities {old.shape} and {new.shape} and labels {labels.shape} must fit together")
    n = len(labels)
    if n < 2:
        return Comparison(n, 0.0, 0.0, 0.0, 1.0, False, f"{n} unseen labels; at least two are needed to compare")
    rows = np.arange(n)
    fall = _log_loss(old, rows, labels) - _log_loss(new, rows, labels)  # (m,) nats that each label gained
    right_old, right_new = (float((probs.argmax(1) == labels).mean()) for probs in (old, new))
    gain, p = float(fall.mean()), _p_value(fall)
    better = p < LEVEL and gain > 0 and right_new >= right_old
    verdict = "better" if better else "not better"
    reason = (
        f"{verdict} on {n} unseen labels: accuracy {right_old:.1%} to {right_new:.1%}, "
        f"log loss {'falls' if gain > 0 else 'rises'} by {abs(gain):.3f} (p = {p:.3g})"
    )
    return Comparison(n, right_old, right_new, gain, p, better, reason)


def recalibrated(probs: FloatArray, labels: IntArray) -> NDArray[np.float64]:
    """Probabilities (m, c) with the temperature that the other fold of the labels (m,) asks for: cross-fitted.

    Even rows are calibrated by odd ones and the reverse, so that no label judges its own calibration.
    """
    logs = np.log(np.maximum(probs.astype(np.float64), FLOOR))
    out: NDArray[np.float64] = np.empty_like(logs)
    for fold in (0, 1):
        temperature, _ = fit_temperature(logs[1 - fold :: 2], labels[1 - fold :: 2])
        out[fold::2] = softmax(logs[fold::2] / temperature)
    return out


def _log_loss(probs: FloatArray, rows: IntArray, labels: IntArray) -> NDArray[np.float64]:
    chosen: NDArray[np.float64] = -np.log(np.maximum(probs[rows, labels].astype(np.float64), FLOOR))
    return chosen


def _p_value(fall: NDArray[np.float64]) -> float:
    if np.ptp(fall) == 0:  # no spread: the t-test is undefined, the sign decides
        return 0.0 if fall[0] > 0 else 1.0
    from scipy.stats import ttest_1samp

    return float(ttest_1samp(fall, 0.0, alternative="greater").pvalue)

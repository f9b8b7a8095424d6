"""The linear head for sets: one logistic regression a class on frozen features, all in the same matrix products."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from selection.contract import BadParameter, BoolArray, FloatArray, IntArray
from selection.proxy.calibration import stratified_folds
from selection.proxy.heads.linear import (
    MANY,
    MANY_STRENGTHS,
    N_FOLDS,
    SMALL,
    STRENGTHS,
    USUAL_STRENGTH,
    blocks,
    moments,
)
from selection.proxy.heads.sets.register import Training, View, head

if TYPE_CHECKING:
    from torch import Tensor

    from selection.proxy.heads.sets.solver import Columns

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

FEW_FOLDS = 3  # for many labels: two thirds of them teach as much as four fifths
PROBED = 32  # classes that choose the strength where labels are many, from the rarest to the most frequent
ALL = -2
"""In the place of a fold: no row is held out."""


@dataclass(frozen=True, slots=True, eq=False)
class SetHead:
    """Presences = sigmoid(features @ weight + bias), on raw features: standardisation and calibration are folded in.

    weight : (d, c) float32; bias : (c,) float32. A class that no label shows both ways has weight 0 and the bias of
    (positives + 1/2) / (labels + 1).
    """

    weight: Float32
    bias: Float32


@dataclass(frozen=True, slots=True, eq=False)
class SetFit:
    """A fitted head before calibration, and what it says of each label that was held out.

    out_of_fold : (m, c) float64 logits, NaN where row or class could not be judged.
    folds : (m,), -1 for a row that is never held out. l2 : the strength, for mean cross-entropy + l2/2 |w|^2 on
    standardised features.
    """

    head: SetHead
    out_of_fold: Float64
    folds: IntArray
    l2: float


def set_folds(present: BoolArray, rng: np.random.Generator, n_folds: int = N_FOLDS) -> IntArray:
    """Folds (m,) of rows with classes (m, c) that spread each row's rarest class evenly; a lone one gets -1.

    A coarser form of Sechidis et al., "On the stratification of multi-label data", ECML 2011: rows are dealt out by
    their rarest class alone, and those without a class as one more. Cost O(m c).
    """
    counts = present.sum(0)
    rarest = np.where(present, counts, len(present) + 1).argmin(1) if present.shape[1] else np.zeros(len(present))
    return stratified_folds(np.where(present.any(1), rarest, present.shape[1]).astype(np.int64), n_folds, rng)


def fit_linear_sets(
    features: FloatArray,
    present: BoolArray,
    *,
    seed: int,
    mean: Float64 | None = None,
    scale: Float64 | None = None,
    device: str = "cpu",
    l2: float | None = None,
) -> SetFit:
    """Fit one regression a class on labeled rows: features (m, d), present (m, c).

    mean, scale : (d,) of the POOL (`moments`); of these rows when left out, which is worse at few labels.
    l2 : a strength for all classes, or None to choose it out of fold by the log loss of all presences.

    The answer is that of c separate fits of the same loss (proven by a test). Cost: an eigendecomposition of
    min(m, d)^2, then some 10 passes over m x min(m, d) for the columns of the folds. Raises `BadParameter` for shapes
    that do not fit.
    """
    import torch

    if present.ndim != 2 or len(present) != len(features):
        raise BadParameter(f"present must be ({len(features)}, c) like the features' rows, got {present.shape}")
    if mean is None or scale is None:
        mean, scale = moments(features, device)
    (m, d), c = features.shape, present.shape[1]
    folds = set_folds(present, np.random.default_rng(seed), N_FOLDS if m <= MANY else FEW_FOLDS)
    counts = present.sum(0)
    usual = np.log((counts + 0.5) / (m - counts + 0.5))  # the bias of a class that stands alone
    weight, bias = np.zeros((d, c)), usual.copy()
    out_of_fold = np.full((m, c), np.nan)
    shown = np.flatnonzero((counts > 0) & (counts < m))
    strength = USUAL_STRENGTH if l2 is None else l2
    if len(shown):
        rows = torch.cat([block for _, block in blocks(features, device)])
        rows = (rows - torch.from_numpy(mean).to(rows)) / torch.from_numpy(scale).to(rows)
        inputs, spectrum, turn = _rotate(rows)
        base = _Problem(inputs, spectrum, torch.from_numpy(present[:, shown]).to(inputs), folds)
        strength, held_out, start = _choose(base, l2)
        everything = base.columns(np.full(len(shown), ALL), np.arange(len(shown)))
        tolerance, iterations = (1e-5, 60) if m <= MANY else (1e-3, 12)
        found = _solve(everything, strength, start, tolerance=tolerance, iterations=iterations)
        weight[:, shown] = (turn @ found[:-1]).double().cpu().numpy() / scale[:, None]
        bias[shown] = found[-1].double().cpu().numpy() - mean @ weight[:, shown]
        out_of_fold[:, shown] = held_out
    return SetFit(SetHead(weight.astype(np.float32), bias.astype(np.float32)), out_of_fold, folds, strength)


def set_logits(head: SetHead, features: FloatArray, device: str = "cpu") -> Float32:
    """Logits of presence of any rows, (n, c) float32; blocked, one pass over the features."""
    import torch

    weight = torch.from_numpy(head.weight.copy()).to(device)
    bias = torch.from_numpy(head.bias.copy()).to(device)
    out = np.empty((len(features), weight.shape[1]), np.float32)
    for start, block in blocks(features, device):
        out[start : start + len(block)] = torch.addmm(bias, block, weight).cpu().numpy()
    return out


def presences(head: SetHead, features: FloatArray, device: str = "cpu") -> Float32:
    """Calibrated presences of rows outside the pool, (n, c) float32 in (0, 1)."""
    from scipy.special import expit

    out: Float32 = expit(set_logits(head, features, device))
    return out


@head("linear")
def linear(training: Training) -> View:
    """The fit that every training begins with."""
    return View(set_logits(training.fit.head, training.features, training.device), training.fit.out_of_fold)


@dataclass(frozen=True, slots=True, eq=False)
class _Problem:
    """Rotated rows with their classes (m, c') and folds (m,); makes the columns of any folds and classes."""

    inputs: Tensor
    spectrum: Tensor
    present: Tensor
    folds: IntArray

    def columns(self, folds: IntArray, classes: IntArray) -> Columns:
        """Column q trains on the rows outside fold folds[q] for class classes[q]."""
        import torch

        from selection.proxy.heads.sets.solver import Columns

        inside = torch.from_numpy(self.folds[:, None] != np.arange(N_FOLDS)).to(self.inputs)  # (m, N_FOLDS)
        inside = torch.cat([inside, inside.new_ones((len(inside), 1))], dim=1)
        inside = inside / inside.sum(0).clamp_min(1)
        at = torch.from_numpy(np.where(folds == ALL, N_FOLDS, folds))
        return Columns(self.inputs, self.spectrum, self.present[:, torch.from_numpy(classes)], inside[:, at])

    def trainable(self, n_folds: int) -> tuple[IntArray, IntArray]:
        """(folds, classes) of the columns whose training rows show the class both ways."""
        there = self.present.cpu().numpy() > 0
        pairs = []
        for fold in range(n_folds):
            if (self.folds == fold).any():
                training = there[self.folds != fold]
                classes = np.flatnonzero(training.any(0) & ~training.all(0))
                pairs.append((np.full(len(classes), fold), classes))
        if not pairs:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        return np.concatenate([f for f, _ in pairs]), np.concatenate([k for _, k in pairs])


def _rotate(rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(m, d) standardised rows in the basis in which their mean outer product is diagonal: (m, r), (r,), (d, r).

    The penalty does not see the rotation. Where m <= d the rows are turned into their own span, and r <= m.
    """
    import torch

    m, d = rows.shape
    exact = min(m, d) <= SMALL
    if m <= d:
        values, basis = torch.linalg.eigh((rows @ rows.T).double() if exact else rows @ rows.T)
        keep = values > values[-1].clamp_min(1e-30) * 1e-6
        values, basis = values[keep], basis[:, keep]
        root = values.sqrt()
        return basis * root, values / m, rows.to(basis).T @ (basis / root)
    if exact:
        rows = rows.double()
    values, basis = torch.linalg.eigh(rows.T @ rows)
    return rows @ basis, values.clamp_min(0) / m, basis


def _choose(base: _Problem, l2: float | None) -> tuple[float, Float64, Tensor]:
    """The strength, held-out logits (m, c') and a start (r + 1, c') for the fit on all rows."""
    import torch

    m, c = base.present.shape
    folds, classes = base.trainable(N_FOLDS)
    share = base.present.mean(0).clamp(1e-4, 1 - 1e-4)
    level = base.present.new_zeros((base.inputs.shape[1] + 1, c))
    level[-1] = (share / (1 - share)).log()
    if not len(folds):
        return USUAL_STRENGTH if l2 is None else l2, np.full((m, c), np.nan), level
    if m <= MANY or l2 is not None:
        strengths = STRENGTHS if l2 is None else (l2,)
        found = _walk(base, folds, classes, strengths, level[:, torch.from_numpy(classes)])
    else:  # one fold and some classes tell strengths apart as well; the folds start from nothing: none knows its labels
        frequent = np.argsort(base.present.sum(0).cpu().numpy(), kind="stable")
        probed = frequent[np.unique(np.linspace(0, c - 1, min(c, PROBED)).astype(np.int64))]
        first = np.flatnonzero((folds == folds[0]) & np.isin(classes, probed))
        start = level[:, torch.from_numpy(classes)]
        one = _walk(
            base, folds[first], classes[first], MANY_STRENGTHS, start[:, torch.from_numpy(first)],
            patience=1, tolerance=1e-2, iterations=6,
        )  # fmt: skip
        found = _walk(base, folds, classes, (one.l2,), start, tolerance=1e-2, iterations=6)
    held_out = np.full((m, c), np.nan)
    for fold in np.unique(folds):
        own = np.flatnonzero(folds == fold)
        weights = found.weights[:, torch.from_numpy(own)]
        out = np.flatnonzero(base.folds == fold)
        logits = torch.addmm(weights[-1], base.inputs[torch.from_numpy(out)], weights[:-1])
        held_out[np.ix_(out, classes[own])] = logits.double().cpu().numpy()
    start = level.clone()
    for k in np.unique(classes):
        start[:, k] = found.weights[:, torch.from_numpy(np.flatnonzero(classes == k))].mean(1)
    return found.l2, held_out, start


@dataclass(frozen=True, slots=True, eq=False)
class _Walked:
    """A strength, the loss of the held-out presences and the columns' weights (r + 1, Q)."""

    l2: float
    loss: float
    weights: Tensor


def _walk(
    base: _Problem,
    folds: IntArray,
    classes: IntArray,
    strengths: tuple[float, ...],
    start: Tensor,
    patience: int = 2,
    tolerance: float = 1e-3,
    iterations: int = 60,
) -> _Walked:
    """From strong to weak, each fit starting from the last, until `patience` steps bring no gain."""
    import torch

    columns = base.columns(folds, classes)
    outside = (columns.shares == 0).to(base.inputs)  # (m, Q): the rows that judge a column
    best: _Walked | None = None
    worse = 0
    for strength in strengths:
        start = _solve(columns, strength, start, tolerance=tolerance, iterations=iterations)
        if len(strengths) == 1:
            return _Walked(strength, 0.0, start)
        logits = torch.addmm(start[-1], base.inputs, start[:-1])
        loss = torch.nn.functional.softplus(logits) - columns.targets * logits
        told = float((loss * outside).sum() / outside.sum()) if bool(outside.any()) else 0.0
        told += float(np.log10(strength / USUAL_STRENGTH) ** 2 / max(len(base.folds), 1))
        if best is None or told < best.loss:
            best, worse = _Walked(strength, told, start), 0
        else:
            worse += 1
            if worse == patience:
                break
    assert best is not None
    return best


def _solve(columns: Columns, l2: float, start: Tensor, *, tolerance: float, iterations: int) -> Tensor:
    from selection.proxy.heads.sets.solver import solve

    return solve(columns, l2, start, tolerance=tolerance, iterations=iterations)


def calibrated(head: SetHead, slope: Float64, shift: Float64) -> SetHead:
    """The head whose logits are slope * logits + shift, (c,) each."""
    weight, bias = head.weight * slope, head.bias * slope + shift
    return replace(head, weight=weight.astype(np.float32), bias=bias.astype(np.float32))

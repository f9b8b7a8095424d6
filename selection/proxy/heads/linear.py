"""The linear head: multinomial logistic regression on frozen features.

Its strength and its temperature are chosen out of fold.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from selection.contract import BadParameter, BadVector, FloatArray, IntArray
from selection.proxy.calibration import NO_FOLD, fit_temperature, log_softmax, stratified_folds
from selection.proxy.heads.register import Training, View, head

if TYPE_CHECKING:
    from torch import Tensor

    from selection.proxy.heads.solver import Problems

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

BLOCK = 1024  # rows that stay in the cache from their copy to their product
SMALL = 300  # labels up to which float64 costs nothing
SPAN = 600  # labels up to which turning the rows into their own span costs less than it saves
MANY = 900  # labels from which the search for a strength is narrow
ENOUGH_ROWS = 2000  # for the mean outer product
N_FOLDS = 5
STRENGTHS = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4)
MANY_STRENGTHS = (0.3, 0.1, 0.03, 0.01)
USUAL_STRENGTH = 0.1
"""Strength while no label can be held out (each class has one label), and where few labels pull the choice to."""


@dataclass(frozen=True, slots=True, eq=False)
class LinearHead:
    """logits = features @ weight + bias, on raw features: the standardisation is folded in.

    weight : (d, c) float32; bias : (c,) float32, -inf for a class that no label shows; temperature divides the logits.
    """

    weight: Float32
    bias: Float32
    temperature: float


@dataclass(frozen=True, slots=True, eq=False)
class HeadFit:
    """A fitted head and what it says of each label when that label is held out.

    out_of_fold : (m, c) float64 logits, before the temperature; NaN in rows whose label was never held out.
    l2 : the chosen strength, for mean cross-entropy + l2/2 |W|^2 on standardised features.
    """

    head: LinearHead
    out_of_fold: Float64
    folds: IntArray
    l2: float

    @property
    def log_probs(self) -> Float64:
        """(m, c) calibrated log probabilities of held-out labels; NaN where not held out."""
        return log_softmax(self.out_of_fold / self.head.temperature)


def blocks(features: FloatArray, device: str = "cpu") -> Iterator[tuple[int, Tensor]]:
    """Successive (first row, (<= BLOCK, d) float32 tensor) of features of any float type or memory layout."""
    import torch

    for start in range(0, len(features), BLOCK):
        # a copy: torch takes neither read-only nor negatively strided arrays
        part = torch.from_numpy(np.array(features[start : start + BLOCK], order="C"))
        yield start, part.to(device=device, dtype=torch.float32)


def moments(features: FloatArray, device: str = "cpu") -> tuple[Float64, Float64]:
    """Mean and standard deviation of each dimension over the pool, both (d,) float64; one blocked pass.

    A dimension that does not vary gets scale 1. Raises `BadVector` naming the first row that is not finite.
    """
    import torch

    n, d = features.shape
    total = torch.zeros(d, dtype=torch.float64, device=device)
    square = torch.zeros_like(total)
    centre = None
    for start, block in blocks(features, device):
        if centre is None:  # sums of squares around a point near the mean do not cancel
            centre = block.mean(0)
        block -= centre
        total += block.sum(0, dtype=torch.float64)
        square += (block * block).sum(0, dtype=torch.float64)
        if not bool(torch.isfinite(total).all() & torch.isfinite(square).all()):
            bad = ~torch.isfinite(block).all(1)
            raise BadVector(start + int(bad.int().argmax()), "features")
    if centre is None:
        return np.zeros(d), np.ones(d)
    offset = total / n
    scale = (square / n - offset**2).clamp_min(0).sqrt()
    mean = centre.double() + offset
    flat = scale <= 1e-6 * mean.abs().clamp_min(1e-6)
    return mean.cpu().numpy(), torch.where(flat, 1.0, scale).cpu().numpy()


def fit_linear(
    features: FloatArray,
    labels: IntArray,
    n_classes: int,
    *,
    seed: int,
    mean: Float64 | None = None,
    scale: Float64 | None = None,
    device: str = "cpu",
    l2: float | None = None,
) -> HeadFit:
    """Fit the head on labeled rows only: features (m, d), labels (m,) in 0..n_classes-1.

    mean, scale : (d,) of the POOL (`moments`); of these rows when left out, which is worse at few labels.
    l2 : a strength, or None to choose it out of fold by the log loss after temperature.

    A class without labels gets probability exactly 0: nothing is known of it. With no labels at all every class is
    equally probable; with one class it has probability 1. A class with one label is in every training fold and is
    never judged. Raises `BadParameter` for labels out of range.

    Cost O(m d min(m, d)) once (the rows are rotated into their own span, which changes nothing: the penalty is
    rotation invariant), then about 100 passes over m x min(m, d) shared by the five folds.
    """
    _check(features, labels, n_classes)
    if mean is None or scale is None:
        mean, scale = moments(features, device)
    m, d = features.shape
    seen = np.unique(labels)
    folds = stratified_folds(labels, N_FOLDS, np.random.default_rng(seed))
    out_of_fold = np.full((m, n_classes), np.nan)
    bias = np.where(np.isin(np.arange(n_classes), seen), 0.0, -np.inf if m else 0.0)
    if len(seen) < 2:
        out_of_fold[folds != NO_FOLD] = bias
        head = LinearHead(np.zeros((d, n_classes), np.float32), bias.astype(np.float32), 1.0)
        return HeadFit(head, out_of_fold, folds, USUAL_STRENGTH if l2 is None else l2)

    compact = np.searchsorted(seen, labels)
    problems, back = _rotate(features, mean, scale, compact, folds, device)
    judged = folds != NO_FOLD
    choice = _choose(problems, compact, folds, l2)
    weights = _final(problems, choice)  # (r + 1, c')
    full = np.zeros((d, n_classes))
    full[:, seen] = back(weights[:-1]) / scale[:, None]
    bias[seen] = weights[-1] - mean @ full[:, seen]
    out_of_fold[judged] = -np.inf
    out_of_fold[np.ix_(judged, seen)] = choice.held_out[judged]
    head = LinearHead(full.astype(np.float32), bias.astype(np.float32), choice.temperature)
    return HeadFit(head, out_of_fold, folds, choice.l2)


def probabilities(head: LinearHead, features: FloatArray, device: str = "cpu") -> Float32:
    """Calibrated class probabilities of any rows, (n, c) float32; blocked, one pass over the features."""
    import torch

    weight = torch.from_numpy(head.weight.copy()).to(device)
    bias = torch.from_numpy(head.bias.copy()).to(device)
    out = np.empty((len(features), weight.shape[1]), np.float32)
    for start, block in blocks(features, device):
        logits = torch.addmm(bias, block, weight) / head.temperature
        out[start : start + len(block)] = torch.softmax(logits, dim=1).cpu().numpy()
    return out


@head("linear")
def linear(training: Training) -> View:
    """The fit that every training begins with."""
    fit = training.fit
    return View(probabilities(fit.head, training.features, training.device), fit.log_probs, fit.head.temperature)


def _check(features: FloatArray, labels: IntArray, n_classes: int) -> None:
    if n_classes < 1:
        raise BadParameter(f"n_classes must be at least 1, got {n_classes}")
    if labels.shape != (len(features),):
        raise BadParameter(f"labels must be ({len(features)},) like the features' rows, got {labels.shape}")
    if len(labels) and not (labels.min() >= 0 and labels.max() < n_classes):
        raise BadParameter(
            f"labels must lie in 0..{n_classes - 1}, got {labels.min()}..{labels.max()}; "
            "hand over labeled rows only, and n_classes of the whole project"
        )


def _rotate(
    features: FloatArray, mean: Float64, scale: Float64, compact: IntArray, folds: IntArray, device: str
) -> tuple[Problems, Any]:
    """Standardise and turn the rows into their own span; also the map from span weights back to (d, c) weights."""
    import torch

    from selection.proxy.heads.solver import Problems

    m, d = features.shape
    rows = torch.cat([block for _, block in blocks(features, device)])
    rows = (rows - torch.from_numpy(mean).to(rows)) / torch.from_numpy(scale).to(rows)
    inputs, turn = rows, None
    if m <= min(SPAN, d):
        values, basis = torch.linalg.eigh((rows @ rows.T).double())
        values, basis = (values, basis) if m <= SMALL else (values.float(), basis.float())
        keep = values > values[-1].clamp_min(1e-30) * 1e-6
        root = values[keep].sqrt()
        inputs, turn = basis[:, keep] * root, rows.to(basis).T @ (basis[:, keep] / root)  # (m, r), (d, r)
    some = inputs[:: -(-m // ENOUGH_ROWS)]  # it only guides the solver
    gram = some.T @ some / len(some)
    targets = torch.from_numpy(compact).to(inputs.device)
    masks = torch.from_numpy(folds[:, None] != np.arange(N_FOLDS)).to(inputs)

    def back(weights: Float64) -> Float64:
        if turn is None:
            return weights
        out: Float64 = (turn @ torch.from_numpy(weights).to(turn)).double().cpu().numpy()
        return out

    return Problems(inputs, targets, masks, gram, int(compact.max()) + 1), back


@dataclass(frozen=True, slots=True, eq=False)
class _Choice:
    """A strength, its temperature, the held-out logits (m, c) and the folds' weights (r + 1, folds, c)."""

    l2: float
    temperature: float
    held_out: Float64
    weights: Tensor


def _choose(problems: Problems, compact: IntArray, folds: IntArray, l2: float | None) -> _Choice:
    """The strength with the best held-out log loss, and what its folds say."""
    m, r, c = len(compact), problems.inputs.shape[1], problems.n_classes
    start = problems.inputs.new_zeros((r + 1, N_FOLDS, c))
    if (folds == NO_FOLD).all():
        return _Choice(USUAL_STRENGTH if l2 is None else l2, 1.0, np.full((m, c), np.nan), start)
    if l2 is not None:
        return _walk(problems, compact, folds, (l2,), start)
    if m <= MANY:
        return _walk(problems, compact, folds, STRENGTHS, start)
    # one fifth of many labels tells strengths apart as well; the folds start from nothing: none knows its own labels
    one = replace(problems, masks=problems.masks[:, :1])
    found = _walk(one, compact, folds, MANY_STRENGTHS, start[:, :1], patience=1, tolerance=1e-2, iterations=6)
    return _walk(problems, compact, folds, (found.l2,), start, tolerance=5e-3, iterations=9)


def _walk(
    problems: Problems,
    compact: IntArray,
    folds: IntArray,
    strengths: tuple[float, ...],
    start: Tensor,
    patience: int = 2,
    tolerance: float = 1e-3,
    iterations: int = 60,
) -> _Choice:
    """From strong to weak, each fit starting from the last, until `patience` steps bring no gain."""
    import torch

    from selection.proxy.heads.solver import solve

    (m, r), n_folds = problems.inputs.shape, problems.masks.shape[1]
    judged = (folds != NO_FOLD) & (folds < n_folds)
    column = torch.from_numpy(np.clip(folds, 0, n_folds - 1)).to(problems.inputs.device)
    row = torch.arange(m, device=column.device)
    best: _Choice | None = None
    least, worse = np.inf, 0
    for strength in strengths:
        start = solve(problems, strength, start, tolerance=tolerance, iterations=iterations)
        flat = start.reshape(r + 1, -1)
        logits = torch.addmm(flat[r], problems.inputs, flat[:r]).view(m, n_folds, -1)
        held_out = logits[row, column].double().cpu().numpy()
        temperature, loss = fit_temperature(held_out[judged], compact[judged])
        loss += np.log10(strength / USUAL_STRENGTH) ** 2 / judged.sum()  # a prior worth one label at a decade
        if loss < least:
            best, least, worse = _Choice(strength, temperature, held_out, start), loss, 0
        else:
            worse += 1
            if worse == patience:
                break
    assert best is not None
    return best


def _final(problems: Problems, choice: _Choice) -> Float64:
    """The fit on all labels, (r + 1, c), starting from the folds' mean."""
    from selection.proxy.heads.solver import solve

    everything = replace(problems, masks=problems.masks.new_ones((len(problems.masks), 1)))
    start = choice.weights.mean(1, keepdim=True)
    tolerance, iterations = (1e-5, 60) if len(problems.inputs) <= MANY else (1e-3, 12)
    weights = solve(everything, choice.l2, start, tolerance=tolerance, iterations=iterations)
    out: Float64 = weights[:, 0].double().cpu().numpy()
    return out

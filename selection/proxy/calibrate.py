"""ActiveDC's expansion: real pool rows that a calibrated class distribution would have drawn, to train on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selection.contract import UNLABELED, BadParameter, FloatArray, IntArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

SHORTLIST = 8
JITTER = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Expansion:
    """Rows to train on beside the labeled ones; they are guesses and never count as labels.

    rows (k,) int64 distinct unlabeled pool rows; labels (k,) int64 their pseudo-labels; weights (k,) float64 < 1.
    """

    rows: IntArray
    labels: IntArray
    weights: Float64

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class Calibration:
    """How to expand.

    alpha : how fast trust moves from the cluster's mean (0) to that of the class's labels (inf) as labels grow.
    xi : added to every entry of the covariance; the paper's 0.2 dwarfs the variance of features of 1,000 dims and
        halves the share of right pseudo-labels on EfficientNet features, so it is 0 here.
    tukey : exponent of the signed power transform, 0 = log, 1 = none.
    weight : of an added row whose cluster holds labels of one class only; less by the share of the others.
    redraws : rounds after which a label without a new row gives up.
    """

    alpha: float = 0.7
    xi: float = 0.0
    tukey: float = 0.5
    weight: float = 0.5
    redraws: int = 10

    def __post_init__(self) -> None:
        if not (self.alpha >= 0 and self.xi >= 0 and 0 <= self.tukey <= 1):
            raise BadParameter(f"need alpha >= 0, xi >= 0, 0 <= tukey <= 1, got {self.alpha}, {self.xi}, {self.tukey}")
        if not (0 < self.weight < 1 and self.redraws >= 1):
            raise BadParameter(f"need 0 < weight < 1 and redraws >= 1, got {self.weight}, {self.redraws}")


def signed_power(values: Float32, exponent: float) -> Float32:
    """Tukey's ladder with the sign kept: sign(v) |v|^exponent, and sign(v) ln|v| at exponent 0 (0 stays 0)."""
    size = np.abs(values)
    if exponent == 0:
        size = np.log(size, out=np.zeros_like(size), where=size > 0)
    else:
        size **= np.float32(exponent)
    size *= np.sign(values)
    return size


def expand(
    features: FloatArray,
    labels: IntArray,
    n_classes: int,
    rng: np.random.Generator,
    *,
    settings: Calibration | None = None,
    device: str = "cpu",
) -> Expansion:
    """Give each label up to two unlabeled neighbours that its class's calibrated Gaussian points to.

    features (n, d); labels (n,) with -1 unlabeled (may be added) and -2 skipped (never added).

    Xu et al., "ActiveDC", CVPR 2024: signed power transform, k-means with one cluster a class, the mean of a
    class = (1 - beta) cluster + beta labels with beta = 1 - exp(-alpha * percent labeled), covariance of the cluster
    + xi; pseudo-features drawn from it; the nearest real rows join if they do not take the set's mean farther from
    the pool's. We differ: cosine (the inner product of the code favours long rows); what the filter still refuses after
    `redraws` rounds is left out (the code keeps it); only labels handed in are used (the code reads others);
    rounds are bounded; a row that two classes want goes to the nearer one; weights below 1.

    Cost: k-means, then a pass n x d x (2 labels) a round; memory one transformed copy of the features, float32.
    """
    settings = settings or Calibration()
    labeled = np.flatnonzero(labels >= 0)
    if len(labeled) == 0 or not (labels == UNLABELED).any():
        return _pack([], [], [])
    if labels.max() >= n_classes:
        raise BadParameter(f"label {labels.max()} with n_classes={n_classes}; count every class of the project")
    space = _transform(features, settings.tukey)
    gaussians = _calibrate(space, labels, labeled, n_classes, rng, settings, device)
    return _draw(space, labels, labeled, gaussians, n_classes, rng, settings, device)


@dataclass(frozen=True, slots=True, eq=False)
class _Gaussian:
    """N(mean, F F' + xi 11' + jitter I); F = (members - centre)' / sqrt(size - 1) is kept as the rows themselves."""

    mean: Float64
    members: IntArray
    centre: Float64
    purity: float

    def sample(self, space: Float32, count: int, xi: float, rng: np.random.Generator) -> Float32:
        """(count, d) draws at size x d each: the rows are a factor of their covariance, so that nothing of d x d is
        ever formed, and a cluster of one row or of fewer rows than dims needs no care."""
        mix = rng.normal(size=(count, len(self.members))).astype(np.float32)
        spread = mix @ space[self.members] - mix.sum(axis=1, keepdims=True) * self.centre
        spread /= np.sqrt(max(len(self.members) - 1, 1))
        common = np.sqrt(xi) * rng.normal(size=(count, 1))
        noise = np.sqrt(JITTER) * rng.normal(size=(count, len(self.mean)))
        out: Float32 = (self.mean + spread + common + noise).astype(np.float32)
        return out


def _transform(features: FloatArray, exponent: float, block: int = 8192) -> Float32:
    out = np.empty(features.shape, np.float32)
    for start in range(0, len(features), block):
        part = np.asarray(features[start : start + block], np.float32)
        norms = np.linalg.norm(part, axis=1, keepdims=True)
        out[start : start + len(part)] = signed_power(part / np.maximum(norms, 1e-12), exponent)
    return out


def _calibrate(
    space: Float32,
    labels: IntArray,
    labeled: IntArray,
    n_classes: int,
    rng: np.random.Generator,
    settings: Calibration,
    device: str,
) -> dict[int, _Gaussian]:
    """The calibrated distribution of each class that has labels."""
    from selection.kernels.kmeans import kmeans

    assigned = kmeans(space, n_classes, rng, iterations=20, device=device).assigned
    percent = 100 * len(labeled) / len(labels)
    beta = 1.0 if np.isinf(settings.alpha) else 1 - np.exp(-settings.alpha * percent)
    out = {}
    for label in np.unique(labels[labeled]):
        own = labeled[labels[labeled] == label]
        cluster = np.bincount(assigned[own]).argmax()  # ties: the lowest cluster
        members = np.flatnonzero(assigned == cluster)
        centre = space[members].mean(axis=0, dtype=np.float64)
        mean = (1 - beta) * centre + beta * space[own].mean(axis=0, dtype=np.float64)
        inside = labels[members]
        purity = float((inside == label).sum() / (inside >= 0).sum())
        out[int(label)] = _Gaussian(mean, members, centre, purity)
    return out


def _draw(
    space: Float32,
    labels: IntArray,
    labeled: IntArray,
    gaussians: dict[int, _Gaussian],
    n_classes: int,
    rng: np.random.Generator,
    settings: Calibration,
    device: str,
) -> Expansion:
    """Rounds of: draw for the labels still without a row, look up, take what is free and passes the filter."""
    each = 2 if len(labeled) // n_classes < 50 else 1
    free = labels == UNLABELED
    target = space.mean(axis=0, dtype=np.float64)
    total, size = space[labeled].sum(axis=0, dtype=np.float64), len(labeled)
    waiting = labeled
    rows: list[int] = []
    pseudo: list[int] = []
    weights: list[float] = []
    for _ in range(settings.redraws):
        if not len(waiting) or not free.any():
            break
        owner = np.repeat(waiting, each)
        wanted = np.empty((len(owner), space.shape[1]), np.float32)
        for label, gaussian in gaussians.items():
            mine = labels[owner] == label
            wanted[mine] = gaussian.sample(space, int(mine.sum()), settings.xi, rng)
        near, cosines = _nearest_free(space, wanted, np.flatnonzero(free), device)
        served = set()
        for draw in np.argsort(-cosines[:, 0], kind="stable"):  # the surest draw chooses first
            open_rows = near[draw][free[near[draw]]]
            if not len(open_rows):
                continue
            row = int(open_rows[0])
            before = np.linalg.norm(total / size - target)
            moved = total + space[row]
            if np.linalg.norm(moved / (size + 1) - target) > before:
                continue
            total, size, free[row] = moved, size + 1, False
            label = int(labels[owner[draw]])
            rows.append(row)
            pseudo.append(label)
            weights.append(settings.weight * gaussians[label].purity)
            served.add(int(owner[draw]))
        waiting = waiting[~np.isin(waiting, list(served))]
    return _pack(rows, pseudo, weights)


def _nearest_free(
    space: Float32, wanted: Float32, free: IntArray, device: str, block: int = 8192
) -> tuple[IntArray, Float32]:
    """The free rows nearest to each draw by cosine, (q, <= SHORTLIST) pool rows and cosines, nearest first."""
    import torch

    queries = torch.nn.functional.normalize(torch.from_numpy(wanted).to(device), dim=1)
    values = queries.new_empty((len(wanted), 0))
    found = queries.new_empty((len(wanted), 0), dtype=torch.int64)
    for start in range(0, len(free), block):
        rows = free[start : start + block]
        part = torch.nn.functional.normalize(torch.from_numpy(space[rows]).to(device), dim=1)
        values = torch.cat([values, queries @ part.T], dim=1)
        ours = torch.from_numpy(rows).to(found).expand(len(wanted), -1)
        found = torch.cat([found, ours], dim=1)
        values, place = values.topk(min(SHORTLIST, values.shape[1]), dim=1)
        found = found.gather(1, place)
    return found.cpu().numpy(), values.cpu().numpy()


def _pack(rows: list[int], labels: list[int], weights: list[float]) -> Expansion:
    return Expansion(np.array(rows, np.int64), np.array(labels, np.int64), np.array(weights, np.float64))

"""The `spread` head for sets: presences flow over the pool's neighbourhood graph, a linear student evens them out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from selection.contract import BoolArray, IntArray
from selection.kernels.graph import SparseGraph
from selection.proxy.calibration import NO_FOLD
from selection.proxy.heads.sets.register import Training, View, head

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

REACH = 0.95
"""Share of mass that flows on at each step."""
STEPS = 20
RIDGE = 1e-2
FLOOR = 1e-3
MANY_COLUMNS = 128


def fit_spread_sets(graph: SparseGraph, rows: IntArray, present: BoolArray, folds: IntArray) -> tuple[Float32, Float64]:
    """Logits of presence (n, c) of the pool and (m, c) of held-out rows, NaN where not held out; no calibration.

    rows (m,) labeled pool rows, present (m, c), folds (m,) as `set_folds` gives them.

    Zhou et al., "Learning with local and global consistency", NIPS 2003, on presence and absence of each class: with
    F = (1 - a) sum_t a^t S^t, presence is F y / (F y + F (1 - y)). Absence needs no columns of its own, because
    F (1 - y) = F 1 - F y: c + 1 columns flow instead of 2 c, with the same result (proven by a test). As in the head
    for one class, a ridge regression of these shares on the graph's unit rows answers instead of them. A class that the
    training rows do not show both ways keeps (positives + 1/2) / (labels + 1), a row that nothing reaches as well.
    Held out means held out: the labels of each fold flow alone and are left out of the sum that judges them.
    Cost STEPS nnz (c + 1) folds, and n p c a fold.
    """
    m, c = present.shape
    n_folds = max(2, min(5, MANY_COLUMNS // (c + 1) - 1))
    groups = np.where(folds == NO_FOLD, n_folds, folds % n_folds)
    flows = _flow(graph, rows, present, groups, n_folds + 1)
    design = np.concatenate([graph.unit, np.ones((len(graph), 1), np.float32)], axis=1)  # (n, p + 1)
    gram = (design.T @ design).astype(np.float64)
    solver = np.linalg.inv(gram + RIDGE * len(graph) / len(gram) * np.eye(len(gram))).astype(np.float32)

    def answer(groups_in: NDArray[np.bool_], at: IntArray | None) -> tuple[Float32, NDArray[np.bool_]]:
        mass = flows[:, groups_in].sum(1)  # (n, c + 1)
        own = groups_in[groups]
        known, total = present[own].sum(0), int(own.sum())
        usual = ((known + 0.5) / (total + 1)).astype(np.float32)
        shares = shares_of(mass, usual)
        fitted = (design if at is None else design[at]) @ (solver @ (design.T @ shares))
        unreached = mass[:, -1] <= 0
        fitted[unreached if at is None else unreached[at]] = usual
        both = (known > 0) & (known < total)
        fitted[:, ~both] = usual[~both]
        fitted = np.clip(fitted, FLOOR, 1 - FLOOR)
        return np.log(fitted / (1 - fitted)), both

    out_of_fold = np.full((m, c), np.nan)
    for fold in np.unique(groups[folds != NO_FOLD]):
        out = np.flatnonzero(groups == fold)
        logits, both = answer(np.arange(n_folds + 1) != fold, rows[out])
        out_of_fold[out] = np.where(both, logits, np.nan)
    return answer(np.ones(n_folds + 1, bool), None)[0], out_of_fold


def shares_of(mass: Float32, usual: Float32) -> Float32:
    """Presence (n, c) from the mass of positives and, in the last column, of all labels (n, c + 1)."""
    total = mass[:, -1:]
    out: Float32 = np.where(total > 0, mass[:, :-1] / np.where(total > 0, total, 1), usual)
    return out


def _flow(graph: SparseGraph, rows: IntArray, present: BoolArray, groups: IntArray, n_groups: int) -> Float32:
    """The mass that arrives from each group's labels, (n, n_groups, c + 1); the last column is that of all labels."""
    c = present.shape[1]
    mass: Float32 = np.zeros((len(graph), n_groups, c + 1), np.float32)
    mass[rows, groups, :c] = present
    mass[rows, groups, c] = 1
    mass = mass.reshape(len(graph), -1)
    total = (1 - REACH) * mass
    for step in range(1, STEPS + 1):
        mass = graph.propagate(mass).astype(np.float32, copy=False)
        total += np.float32((1 - REACH) * REACH**step) * mass
    return total.reshape(len(graph), n_groups, c + 1)


@head("spread", needs_graph=True)
def spread(training: Training) -> View:
    """See `fit_spread_sets`."""
    return View(*fit_spread_sets(training.pool_graph, training.rows, training.present, training.fit.folds))

"""The `smooth` head: logistic regression on features that the neighbourhood graph has smoothed."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from selection.contract import IntArray
from selection.kernels.graph import SparseGraph
from selection.proxy.heads.linear import HeadFit, fit_linear, probabilities
from selection.proxy.heads.register import Training, View, head

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

STEPS = 2
_smoothed: WeakKeyDictionary[SparseGraph, tuple[Float32, Float64, Float64]] = WeakKeyDictionary()


def smoothed(graph: SparseGraph) -> Float32:
    """Unit rows of the graph after two half steps to the mean of their neighbours, (n, p) float32, unit again.

    Kept as long as the graph lives: it depends on nothing else.
    """
    return prepared(graph)[0]


def prepared(graph: SparseGraph) -> tuple[Float32, Float64, Float64]:
    """The smoothed rows, their mean and one scale for all directions: whitening would lift the noise of the last."""
    if graph not in _smoothed:
        degree = np.asarray(graph.matrix.sum(axis=1), np.float32).ravel()[:, None]
        rows = graph.unit
        for _ in range(STEPS):
            around = graph.propagate(rows) / np.where(degree > 0, degree, 1)
            rows = np.where(degree > 0, (rows + around) / 2, rows).astype(np.float32)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        rows = (rows / np.where(norms > 1e-12, norms, 1)).astype(np.float32)
        spread = float(np.sqrt(rows.var(axis=0, dtype=np.float64).mean()))
        scale = np.full(rows.shape[1], spread if spread > 1e-12 else 1.0)
        _smoothed[graph] = rows, rows.mean(axis=0, dtype=np.float64), scale
    return _smoothed[graph]


def fit_smooth(
    graph: SparseGraph, rows: IntArray, labels: IntArray, n_classes: int, *, seed: int, device: str = "cpu"
) -> tuple[Float32, HeadFit]:
    """Probabilities (n, c) float32 of the pool and the fit; rows, labels (m,) of the labeled pool rows.

    After Wu et al., "Simplifying Graph Convolutional Networks", ICML 2019: smooth first, learn then. Smoothing
    what was learnt (Correct & Smooth, Huang et al., ICLR 2021) was measured too and was 1 to 4 points lower
    from 5 to 50 labels a class; and held-out labels cost nothing here, because the smoothing sees no labels.
    """
    features, mean, scale = prepared(graph)
    fit = fit_linear(features[rows], labels, n_classes, seed=seed, mean=mean, scale=scale, device=device)
    return probabilities(fit.head, features, device), fit


@head("smooth", needs_graph=True)
def smooth(training: Training) -> View:
    """See `fit_smooth`."""
    probs, fit = fit_smooth(
        training.pool_graph,
        training.rows,
        training.labels,
        training.n_classes,
        seed=training.seed,
        device=training.device,
    )
    return View(probs, fit.log_probs, fit.head.temperature)

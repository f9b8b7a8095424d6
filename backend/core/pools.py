"""What is computed once per feature version and kept warm in the worker: the pool's graph and its moments.

The graph is built of all rows; tasks that come later are attached to it by their nearest rows, until they are a tenth
of it or one of them is labeled. Then it is built anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from backend.core.domain import FeatureTable
from selection.kernels.graph import SparseGraph
from selection.proxy.learn import Learned, learn

MOST_ROWS = 200_000  # exact neighbours of more rows take minutes on a few cores: the linear head alone serves there
NEW_SHARE = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """task_ids (m,) ascending: the rows that the graph was built of; scaling: mean and deviation of the pool (d,).

    digest : of the vectors of then.
    """

    version: int
    task_ids: NDArray[np.int64]
    digest: str
    graph: SparseGraph | None
    scaling: tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(slots=True)
class Pools:
    """The prepared pools of this process, one a project."""

    kept: dict[int, Prepared] = field(default_factory=dict)

    def warm(self, project: int, version: int, table: FeatureTable) -> None:
        """Build what the first labels will need, while nobody waits for it."""
        pool = self.kept.get(project)
        if pool is None or pool.version != version or len(pool.task_ids) != len(table.task_ids):
            self.kept[project] = prepare(version, table)

    def learn(
        self,
        project: int,
        version: int,
        table: FeatureTable,
        labels: NDArray[np.int64],
        n_classes: int,
        *,
        seed: int,
        kind: str = "auto",
    ) -> Learned:
        """Train on labels (n,) of the table's rows (below 0: not trained on); probabilities of all rows.

        Cost: the graph, where it has to be built (n^2 dims); else that of `selection.proxy.learn`.
        """
        pool = self.kept.get(project)
        if pool is None or pool.version != version or not _serves(pool, table, labels):
            pool = self.kept[project] = prepare(version, table)
        known = np.isin(table.task_ids, pool.task_ids, assume_unique=True)
        features, kept = (table.vectors, labels) if known.all() else (table.vectors[known], labels[known])
        learned = learn(features, kept, n_classes, kind=kind, graph=pool.graph, seed=seed, scaling=pool.scaling)
        if known.all():
            return learned
        probs = np.empty((len(known), n_classes), np.float32)
        probs[known] = learned.probs
        probs[~known] = _attached(pool, learned, table.vectors[~known])
        return Learned(probs, learned.report, learned.head)


def _serves(pool: Prepared, table: FeatureTable, labels: NDArray[np.int64]) -> bool:
    """Whether the graph still fits: nothing of it is gone or changed, little is new, and nothing new is labeled."""
    new = ~np.isin(table.task_ids, pool.task_ids, assume_unique=True)
    gone = len(table.task_ids) - int(new.sum()) < len(pool.task_ids)
    if gone or int(new.sum()) > NEW_SHARE * len(pool.task_ids) or np.any(labels[new] >= 0):
        return False
    return table.only(~new).digest == pool.digest


def prepare(version: int, table: FeatureTable) -> Prepared:
    """Cost: the graph, n^2 dims, up to `MOST_ROWS` rows; one pass."""
    from selection.kernels.graph import knn_graph
    from selection.proxy.heads.linear import moments

    graph = knn_graph(table.vectors) if len(table.task_ids) <= MOST_ROWS else None
    return Prepared(version, table.task_ids, table.digest, graph, moments(table.vectors))


def _attached(pool: Prepared, learned: Learned, features: NDArray[np.float16]) -> NDArray[np.float32]:
    """Probabilities of rows outside the graph (m, d): their neighbours' weighted mean, the linear head's where none."""
    from selection.proxy.heads.linear import probabilities

    linear = probabilities(learned.head, features)
    if pool.graph is None:
        return linear
    rows, weights = pool.graph.attach(features)  # (m, k) each
    total = weights.sum(1, keepdims=True)
    mixed = np.einsum("mk,mkc->mc", weights, learned.probs[rows]) / np.maximum(total, 1e-12)
    return np.where(total > 1e-6, mixed, linear).astype(np.float32)

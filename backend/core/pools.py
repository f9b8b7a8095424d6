"""What is computed once per feature version and kept warm in the worker: the pool's graph and its moments.

The graph is built of all rows; tasks that come later are attached to it by their nearest rows, until they are a tenth
of it or one of them is labeled. Then it is built anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backend.core.domain import FeatureTable
from selection.kernels.graph import SparseGraph
from selection.proxy.learn import Learned, learn

if TYPE_CHECKING:
    from selection.proxy.learn_sets import LearnedSets

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
        pool, known = self._pool(project, version, table, labels)
        features, kept = (table.vectors, labels) if known.all() else (table.vectors[known], labels[known])
        learned = learn(features, kept, n_classes, kind=kind, graph=pool.graph, seed=seed, scaling=pool.scaling)
        if known.all():
            return learned
        from selection.proxy.heads.linear import probabilities

        fresh = table.vectors[~known]
        probs = _joined(pool, known, learned.probs, fresh, probabilities(learned.head, fresh))
        return Learned(probs, learned.report, learned.head)

    def learn_sets(
        self,
        project: int,
        version: int,
        table: FeatureTable,
        present: NDArray[np.bool_],
        marks: NDArray[np.int64],
        *,
        seed: int,
        kind: str = "auto",
    ) -> LearnedSets:
        """As `learn`, of sets of classes: present (n, c), marks (n,) as in `selection.Pool`."""
        from selection.proxy.heads.sets.linear import presences
        from selection.proxy.learn_sets import LearnedSets, learn_sets

        pool, known = self._pool(project, version, table, marks)
        features = table.vectors if known.all() else table.vectors[known]
        # Any: keywords of two functions, as each names them
        how: dict[str, Any] = {"kind": kind, "graph": pool.graph, "seed": seed, "scaling": pool.scaling}
        if kind == "auto" and pool.graph is None:
            how["kind"] = "linear"
        learned = learn_sets(features, present[known], marks[known], **how)
        if known.all():
            return learned
        fresh = table.vectors[~known]
        probs = _joined(pool, known, learned.probs, fresh, presences(learned.head, fresh))
        return LearnedSets(probs, learned.report, learned.head)

    def _pool(
        self, project: int, version: int, table: FeatureTable, labels: NDArray[np.int64]
    ) -> tuple[Prepared, NDArray[np.bool_]]:
        """The prepared pool, made anew where it does not serve; which rows of the table (n,) it was built of."""
        pool = self.kept.get(project)
        if pool is None or pool.version != version or not _serves(pool, table, labels):
            pool = self.kept[project] = prepare(version, table)
        return pool, np.isin(table.task_ids, pool.task_ids, assume_unique=True)


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


def _joined(
    pool: Prepared,
    known: NDArray[np.bool_],
    answers: NDArray[np.float32],
    features: NDArray[np.float16],
    linear: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Probabilities of all rows (n, c): `answers` of the known ones, of the others their neighbours' weighted mean.

    features (m, d), linear (m, c) : of the others; the linear head's are taken where there are no neighbours.
    """
    probs = np.empty((len(known), answers.shape[1]), np.float32)
    probs[known], probs[~known] = answers, linear
    if pool.graph is not None:
        rows, weights = pool.graph.attach(features)  # (m, k) each
        total = weights.sum(1, keepdims=True)
        mixed = np.einsum("mk,mkc->mc", weights, answers[rows]) / np.maximum(total, 1e-12)
        probs[~known] = np.where(total > 1e-6, mixed, linear)
    return probs

"""Train the head of a learning round and keep its record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backend.core.domain import FeatureTable, Head, Project
from backend.core.learning import audit
from backend.core.learning.labels import Labels
from backend.core.pools import Pools
from backend.core.services import Services

if TYPE_CHECKING:
    from selection.proxy.learn import Learned
    from selection.proxy.report import HeadReport


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """The head's record and its calibrated probabilities (n, c) of all rows of the feature table.

    graph_ids : (m,) the tasks of which the graph was built that it learnt on.
    """

    head: Head
    probs: NDArray[np.float32]
    graph_ids: NDArray[np.int64]


def train(
    services: Services,
    project: Project,
    table: FeatureTable,
    labels: Labels,
) -> Trained | None:
    """Learn the classes from the labeled rows, but for the audit's; None while fewer than two classes have a label."""
    version = project.features_version
    learned = learn(services.pools, project.id, version, table, labels, services.options.seed)
    if learned is None:
        return None
    report = report_json(learned.report, labels.classes)
    before = services.rankings.latest_head(project.id)
    report["audit"] = audit.judge_next(
        learned.probs,
        labels.rows,
        labels.audit,
        tasks=table.task_ids,
        population=services.tasks.population(project.id),
        earlier=before.report.get("audit") if before else None,
    )
    head = services.rankings.add_head(
        project.id,
        project.features_version,
        labels.digest,
        labels.classes,
        report,
        services.clock.now(),
    )
    return Trained(head, learned.probs, services.pools.kept[project.id].task_ids)


def learn(pools: Pools, project: int, version: int, table: FeatureTable, labels: Labels, seed: int) -> Learned | None:
    """What a learning round learns of these labels; None while fewer than two classes have one."""
    known = labels.trainable
    if len(np.unique(known[known >= 0])) < 2:
        return None
    return pools.learn(project, version, table, known, len(labels.classes), seed=seed)


def report_json(report: HeadReport, classes: Sequence[str]) -> dict[str, Any]:
    """The report with class names, ready to be stored; a recall that was not judged is null."""
    recall = zip(classes, report.recall.tolist(), strict=True)
    return {
        "kind": report.kind,
        "accuracy": report.accuracy,
        "low": report.low,
        "high": report.high,
        "ece": report.ece,
        "log_loss": report.log_loss,
        "temperature": report.temperature,
        "weights": dict(report.weights),
        "labels": report.n_labels,
        "judged": report.n_judged,
        "recall": {name: None if isnan(value) else value for name, value in recall},
        "confusion": [
            {"label": classes[pair.true], "guess": classes[pair.predicted], "count": pair.count}
            for pair in report.confusion
        ],
    }

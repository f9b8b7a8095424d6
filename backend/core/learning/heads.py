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
from backend.core.services import Services

if TYPE_CHECKING:
    from selection.proxy.report import HeadReport


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """The head's record and its calibrated probabilities (n, c) of all rows of the feature table."""

    head: Head
    probs: NDArray[np.float32]


def train(
    services: Services,
    project: Project,
    table: FeatureTable,
    labels: Labels,
) -> Trained | None:
    """Learn the classes from the labeled rows, but for the audit's; None while fewer than two classes have a label."""
    known = labels.trainable
    if len(np.unique(known[known >= 0])) < 2:
        return None
    learned = services.pools.learn(
        project.id,
        project.features_version,
        table,
        known,
        len(labels.classes),
        seed=services.options.seed,
    )
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
    return Trained(head, learned.probs)


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

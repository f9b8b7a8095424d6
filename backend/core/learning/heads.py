"""Train the head of a learning round and keep its record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isnan
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backend.core.domain import FeatureTable, Head, LearningReport, Mistake, Project
from backend.core.learning import audit, set_heads
from backend.core.learning.answers import Answers
from backend.core.learning.labels import Labels
from backend.core.learning.set_heads import learn_present
from backend.core.pools import Pools
from backend.core.services import Services

if TYPE_CHECKING:
    from selection.proxy.report import HeadReport

LIKELY = 0.5  # a class below this is not suggested, whatever its threshold: a person would have to undo it


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """The head's record and what it answers for all rows of the feature table.

    graph_ids : (m,) the tasks of which the graph was built that it learnt on.
    """

    head: Head
    answers: Answers
    graph_ids: NDArray[np.int64]


def train(
    services: Services,
    project: Project,
    table: FeatureTable,
    labels: Labels,
) -> Trained | None:
    """Learn the classes from the labeled rows, but for the audit's; None while they are all the same."""
    version = project.features_version
    learned = learn(services.pools, project.id, version, table, labels, services.options.seed)
    if learned is None:
        return None
    before = services.rankings.latest_head(project.id)
    judged = audit.judge_next(
        learned.probs,
        labels.rows,
        labels.audit,
        tasks=table.task_ids,
        population=services.tasks.population(project.id),
        present=labels.present,
        earlier=before.report.audit if before else None,
    )
    head = services.rankings.add_head(
        project.id,
        project.features_version,
        labels.digest,
        labels.classes,
        replace(learned.report, audit=judged),
        services.clock.now(),
    )
    return Trained(head, learned, services.pools.kept[project.id].task_ids)


def learn(pools: Pools, project: int, version: int, table: FeatureTable, labels: Labels, seed: int) -> Answers | None:
    """What a learning round learns of these labels; None while all of them are the same class or set."""
    known = labels.trainable
    if labels.present is not None:
        sets = learn_present(pools, project, version, table, labels.present, known, seed)
        if sets is None:
            return None
        cut = np.maximum(sets.report.thresholds, LIKELY)
        return Answers(sets.probs, set_heads.named(sets.report, labels.classes), cut)
    if len(np.unique(known[known >= 0])) < 2:
        return None
    learned = pools.learn(project, version, table, known, len(labels.classes), seed=seed)
    return Answers(learned.probs, named(learned.report, labels.classes))


def named(report: HeadReport, classes: Sequence[str]) -> LearningReport:
    """The report with the names of the classes; a recall that was not judged is None."""
    recall = zip(classes, report.recall.tolist(), strict=True)
    return LearningReport(
        kind=report.kind,
        accuracy=report.accuracy,
        low=report.low,
        high=report.high,
        ece=report.ece,
        log_loss=report.log_loss,
        temperature=report.temperature,
        weights=dict(report.weights),
        labels=report.n_labels,
        judged=report.n_judged,
        recall={name: None if isnan(value) else value for name, value in recall},
        confusion=tuple(Mistake(classes[pair.true], classes[pair.predicted], pair.count) for pair in report.confusion),
    )

"""One learning round: labels and features -> head -> ranking -> Label Studio's queue."""

from __future__ import annotations

import numpy as np
import structlog

import selection
from backend.core import jobs
from backend.core.domain import FeatureTable, Inputs, Project, Ranking
from backend.core.errors import LabelStudioError
from backend.core.learning.heads import Trained, train
from backend.core.learning.labels import Labels, read_labels
from backend.core.queue import due, publish
from backend.core.queue.machine import machine
from backend.core.queue.picks import make_picks
from backend.core.renewal import renew
from backend.core.services import Services

log = structlog.get_logger()


def cycle(services: Services, project_id: int, reason: str) -> Ranking | None:
    """Learn from the labels at hand, rank the unlabeled tasks, publish the head of the order.

    Returns the stored ranking; None when there is nothing to choose from. The ranking is stored before it is
    published: if Label Studio is away, a later `publish` makes it live.
    """
    started = services.clock.now()
    project = services.projects.get(project_id)
    stages = _Stages(services)
    embedded = services.tasks.counts(project_id).embedded  # first: what is counted now has been stored before
    table = services.features.load(project_id, project.features_version)
    if embedded and not len(table.task_ids):
        log.warning("the features are gone from the store: embedding all images again", project=project_id)
        services.feature_sets.anew(project_id, project.features_version)
        due.nudge(services, project)
        return None
    labels = read_labels(services, project, table)
    stages.done("load")
    if not np.any(labels.rows == selection.UNLABELED):
        log.info("every embedded task is labeled", project=project_id)
        return None
    trained = train(services, project, table, labels)
    stages.done("learn")
    inputs = _inputs(project, table, labels, trained)
    picks = make_picks(
        project.strategy, services.options.seed, inputs, table.vectors, trained.answers if trained else None
    )
    stages.done("rank")
    if renew.forget_deleted(services, project_id, project.features_version, [pick.task_id for pick in picks]):
        return cycle(services, project_id, reason)
    ranking = services.rankings.add(
        project_id,
        strategy=project.strategy,
        seed=services.options.seed,
        features_version=project.features_version,
        labels_digest=labels.digest,
        labeled=int((labels.rows >= 0).sum()),
        embedded=len(table.task_ids),
        head=trained.head.id if trained else None,
        picks=picks,
        timings=stages.seconds,
        at=started,
        inputs=inputs,
    )
    if trained:
        made = trained.answers.guesses(trained.head.id, trained.head.classes, table.task_ids)
        services.features.write_guesses(project_id, made)
    stages.done("store")
    published: dict[str, float] = {}
    try:
        published = publish.publish(services, project_id)
    except (LabelStudioError, publish.NotPublished) as error:  # what is learnt is kept; publishing is due, and retried
        log.warning("the ranking could not be published yet", project=project_id, error=str(error))
    log.info("ranked", project=project_id, ranking=ranking.id, reason=reason, **_rounded(stages.seconds | published))
    if trained is None and project.config.learnt:
        services.pools.warm(project_id, project.features_version, table)
    if trained:
        services.jobs.submit(jobs.consider(project_id))
    due.nudge(services, services.projects.get(project_id))
    return ranking


def _inputs(project: Project, table: FeatureTable, labels: Labels, trained: Trained | None) -> Inputs:
    return Inputs(
        horizon=project.horizon,
        batch=project.batch_size,
        audit_share=project.audit_share,
        classes=labels.classes,
        task_ids=table.task_ids,
        labels=labels.rows,
        present=labels.present,
        audit=labels.audit,
        graph=np.isin(table.task_ids, trained.graph_ids, assume_unique=True) if trained else None,
        vectors=table.digest,
        machine=machine(),
    )


class _Stages:
    """Seconds by stage."""

    def __init__(self, services: Services) -> None:
        self._now = services.clock.now
        self._last = self._now()
        self.seconds: dict[str, float] = {}

    def done(self, stage: str) -> None:
        now = self._now()
        self.seconds[stage] = now - self._last
        self._last = now


def _rounded(seconds: dict[str, float]) -> dict[str, float]:
    return {stage: round(value, 3) for stage, value in seconds.items()}

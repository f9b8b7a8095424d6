"""One learning round: labels and features -> head -> ranking -> Label Studio's queue."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import structlog

import selection
from backend.core.domain import FeatureTable, Guess, Guesses, Pick, Project, Ranking
from backend.core.errors import LabelStudioError
from backend.core.learning import audit
from backend.core.learning.heads import Trained, train
from backend.core.learning.labels import Labels, read_labels
from backend.core.queue import due, publish
from backend.core.queue.order import order_rows
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
    picks = _order(services, project, table, labels, trained)
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
    )
    if trained:
        services.features.write_guesses(project_id, _guesses(table, trained))
    stages.done("store")
    published: dict[str, float] = {}
    try:
        published = publish.publish(services, project_id)
    except (LabelStudioError, publish.NotPublished) as error:  # what is learnt is kept; publishing is due, and retried
        log.warning("the ranking could not be published yet", project=project_id, error=str(error))
    log.info("ranked", project=project_id, ranking=ranking.id, reason=reason, **_rounded(stages.seconds | published))
    if trained is None and labels.classes:
        services.pools.warm(project_id, project.features_version, table)
    if trained:
        services.jobs.submit("consider", key=f"consider:{project_id}", project=project_id)
    due.nudge(services, services.projects.get(project_id))
    return ranking


def _order(
    services: Services, project: Project, table: FeatureTable, labels: Labels, trained: Trained | None
) -> list[Pick]:
    """The head of the order: the selector's picks with the audit stream woven in."""
    ordered = order_rows(
        project.strategy,
        table.vectors,
        labels.rows,
        trained.probs if trained else None,
        labels.audit,
        length=project.horizon,
        batch=project.batch_size,
        seed=services.options.seed,
    )
    picks = _picks(ordered, table, labels.classes, trained)
    waiting = table.task_ids[labels.audit & (labels.rows == selection.UNLABELED)].tolist()
    return audit.weave(
        picks,
        audit.in_order(services.options.seed, waiting),
        served=int((labels.rows != selection.UNLABELED).sum()),
        share=project.audit_share,
        length=project.horizon,
    )


def _picks(
    ordered: selection.Ranking, table: FeatureTable, classes: Sequence[str], trained: Trained | None
) -> list[Pick]:
    picks = []
    for row, score, note in zip(ordered.rows.tolist(), ordered.scores.tolist(), ordered.notes, strict=True):
        guess = None
        if trained:
            best = int(trained.probs[row].argmax())
            guess = Guess(classes[best], float(trained.probs[row, best]))
        picks.append(Pick(int(table.task_ids[row]), float(score), _named(note, classes), guess))
    return picks


def _guesses(table: FeatureTable, trained: Trained) -> Guesses:
    best = trained.probs.argmax(1)  # (n, c) -> (n,)
    confidence = np.take_along_axis(trained.probs, best[:, None], 1)[:, 0]
    return Guesses(
        trained.head.id,
        trained.head.classes,
        table.task_ids,
        best.astype(np.int32),
        confidence.astype(np.float32),
    )


def _named(note: str, classes: Sequence[str]) -> str:
    """The note with "class 3" replaced by the class's name."""

    def name(match: re.Match[str]) -> str:
        number = int(match[1])
        return classes[number] if number < len(classes) else match[0]

    return re.sub(r"\bclass (\d+)\b", name, note)


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

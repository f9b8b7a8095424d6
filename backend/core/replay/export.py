"""What a project takes away: a model that works without us, and its labels and rankings with where they came from."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from backend.core.domain import AuditAccuracy, LearningReport, Project, Ranking
from backend.core.domain.training import FeatureSet
from backend.core.errors import UserError
from backend.core.json_values import JSON
from backend.core.learning import audit
from backend.core.learning.heads import named
from backend.core.learning.labels import Labels, as_text, read_labels
from backend.core.services import Services

if TYPE_CHECKING:
    from selection.proxy.heads.linear import LinearHead

MANY = 1_000_000  # rankings: all of them


@dataclass(frozen=True, slots=True)
class LabelRow:
    """One task that people dealt with: what people said and when, and the ranking that had served it by then.

    image, images : the first one, and how many there are. label : one class; present : a set of them, as JSON.
    labeled_at : seconds since the epoch, of its newest annotation; ranking, strategy, position: of the newest ranking
    made before that which holds the task, None if none does (it was labeled before, or outside the queue).
    """

    task: int
    image: str | None
    label: str | None
    present: str | None
    skipped: bool
    annotated: bool
    images: int
    audit: bool
    labeled_at: float | None
    ranking: int | None
    strategy: str | None
    position: int | None


@dataclass(frozen=True, slots=True)
class RankingRow:
    """One position of one ranking, with what is needed to make the ranking again."""

    ranking: int
    made_at: float
    strategy: str
    params: Mapping[str, JSON]
    seed: int
    features_version: int
    labels_digest: str
    labeled: int
    position: int
    task: int
    score: float
    note: str
    guess: str | None
    confidence: float | None
    audit: bool


@dataclass(frozen=True, slots=True, eq=False)
class Package:
    """Everything that is written.

    head : the linear head on raw features; report : its out-of-fold figures; audit : those on the audit stream;
    served : the figures of the head that the live queue uses, None before the first.
    """

    project: Project
    features: FeatureSet
    head: LinearHead
    report: LearningReport
    audit: AuditAccuracy
    served: LearningReport | None
    counts: Mapping[str, int]
    tasks: int
    skipped: int
    annotated: int
    labels: Sequence[LabelRow]
    rankings: Sequence[Ranking]
    at: float

    @property
    def classes(self) -> tuple[str, ...]:
        return self.project.config.classes

    def ranking_rows(self) -> Iterator[RankingRow]:
        """Oldest ranking first, each in its order; made on the way, because there may be many."""
        for ranking in self.rankings:
            for position, pick in enumerate(ranking.picks, 1):
                yield RankingRow(
                    ranking.id,
                    ranking.created_at,
                    ranking.strategy.name,
                    ranking.strategy.params,
                    ranking.seed,
                    ranking.features_version,
                    ranking.labels_digest,
                    ranking.labeled,
                    position,
                    pick.task_id,
                    pick.score,
                    pick.note,
                    pick.guess.choice if pick.guess else None,
                    pick.guess.confidence if pick.guess else None,
                    pick.audit,
                )


def package(services: Services, project: Project) -> Package:
    """Gather it; trains the linear head anew on all labels but the audit's. Raises `UserError` if there is no model."""
    from selection.proxy.learn import learn

    table = services.features.load(project.id, project.features_version)
    labels = read_labels(services, project, table)
    if labels.present is not None:
        raise UserError(f"project {project.ls_id} labels sets of classes: there is no model to take away yet")
    known = labels.trainable
    if len(np.unique(known[known >= 0])) < 2:
        raise UserError(
            f"project {project.ls_id} has labels of fewer than two classes: there is no model to take away yet"
        )
    learned = learn(table.vectors, known, len(labels.classes), kind="linear", seed=services.options.seed)
    population = services.tasks.population(project.id)
    served = services.rankings.latest_head(project.id)
    rankings = services.rankings.history(project.id, limit=MANY)[::-1]
    counts = services.tasks.counts(project.id)
    return Package(
        project=project,
        features=services.feature_sets.get(project.id, project.features_version),
        head=learned.head,
        report=named(learned.report, labels.classes),
        audit=audit.judge(learned.probs, labels.rows, labels.audit, population=population),
        served=served.report if served else None,
        counts=_by_class(labels),
        tasks=counts.tasks,
        skipped=counts.skipped,
        annotated=counts.annotated,
        labels=_label_rows(services, project, rankings),
        rankings=rankings,
        at=services.clock.now(),
    )


def _by_class(labels: Labels) -> dict[str, int]:
    """Labels that the model learnt from."""
    counts = np.bincount(labels.trainable[labels.trainable >= 0], minlength=len(labels.classes))
    return dict(zip(labels.classes, counts.tolist(), strict=True))


def _label_rows(services: Services, project: Project, rankings: Sequence[Ranking]) -> list[LabelRow]:
    given, passed = services.tasks.labels(project.id)
    wanted = sorted(set(given) | passed)
    known = {task.id: task for task in services.tasks.list(project.id, ids=wanted, limit=max(len(wanted), 1))}
    wanted = sorted(known)  # one may be gone by now
    times = services.tasks.labeled_at(project.id)
    drawn = services.tasks.audit(project.id)
    served = _served(rankings, wanted)
    rows = []
    for task in wanted:
        at = times.get(task)
        ranking, position = _before(served.get(task, ()), at)
        rows.append(
            LabelRow(
                task,
                known[task].image,
                known[task].label,
                None if known[task].present is None else as_text(frozenset(known[task].present or ())),
                known[task].skipped,
                known[task].annotated,
                len(known[task].refs),
                task in drawn,
                at,
                ranking.id if ranking else None,
                ranking.strategy.name if ranking else None,
                position,
            )
        )
    return rows


def _served(rankings: Sequence[Ranking], tasks: Sequence[int]) -> dict[int, list[tuple[Ranking, int]]]:
    """Task -> the rankings that hold it with its position, oldest first."""
    found: dict[int, list[tuple[Ranking, int]]] = {task: [] for task in tasks}
    for ranking in rankings:
        for position, pick in enumerate(ranking.picks, 1):
            if pick.task_id in found:
                found[pick.task_id].append((ranking, position))
    return found


def _before(holding: Sequence[tuple[Ranking, int]], at: float | None) -> tuple[Ranking | None, int | None]:
    """The newest ranking that was made by `at`."""
    if at is None:
        return None, None
    place = bisect_right([ranking.created_at for ranking, _ in holding], at)
    return holding[place - 1] if place else (None, None)

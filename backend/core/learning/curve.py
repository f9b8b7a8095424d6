"""How well a project's classes are learnt, for people: the latest head, and the curve over all learning rounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from backend.core.domain import AuditReport, Head, LearningReport, Project
from backend.core.json_values import JSON
from backend.core.services import Services


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Accuracy with its 95% interval, all in [0, 1], on `labels` labels (None: not recorded).

    measure : what it is; where labels are sets of classes, the mean average precision out of fold, and in the audit the
    share of exact sets. population : tasks that the labels were drawn from at random; the interval then holds at every
    look and for all heads together (see `audit.judge_next`). None: it is Wilson's, for one look: so is all that is out
    of fold, and the audit of rounds before there was the other; a mean average precision's is a bootstrap's.
    """

    value: float
    low: float
    high: float
    labels: int | None = None
    population: int | None = None
    measure: str = "accuracy"


@dataclass(frozen=True, slots=True)
class HeadView:
    """What the latest head is, and how far its confidence can be believed (ece: expected calibration error)."""

    kind: str
    weights: Mapping[str, float]
    ece: float | None
    labels: int


@dataclass(frozen=True, slots=True)
class Round:
    """One learning round: `labels` trained it; audit labels are drawn at random and train nothing."""

    head: int
    features_version: int
    at: float
    labels: int
    accuracy: Accuracy | None
    audit: Accuracy | None
    ece: float | None

    def to_json(self) -> dict[str, JSON]:
        return asdict(self)


def curve(services: Services, project: Project) -> list[Round]:
    """All learning rounds over all feature versions, oldest first."""
    heads = [
        head
        for item in services.feature_sets.list(project.id)
        for head in services.rankings.heads(project.id, item.version)
    ]
    return [_round(head) for head in sorted(heads, key=lambda head: head.id)]


def accuracy(head: Head | None) -> Accuracy | None:
    """Out of fold: labels that were chosen actively, so not what a random image would meet; None if not judged."""
    return _accuracy(head.report, head.report.judged) if head else None


def audit(head: Head | None) -> Accuracy | None:
    """On the audit's labels: a random sample of the pool; as it was recorded. None while it holds no label."""
    found = head.report.audit if head else None
    return _accuracy(found, found.labels, found.population) if found else None


def view(head: Head | None) -> HeadView | None:
    """None before the first head."""
    if head is None:
        return None
    return HeadView(head.report.kind, head.report.weights, _ece(head), head.report.labels)


def _round(head: Head) -> Round:
    at, labels = head.created_at, head.report.labels
    return Round(head.id, head.features_version, at, labels, accuracy(head), audit(head), _ece(head))


def _ece(head: Head) -> float | None:
    """The report has 0.0 where nothing was judged; that is no error of 0."""
    return head.report.ece if head.report.judged else None


def _accuracy(
    found: LearningReport | AuditReport, labels: int | None, population: int | None = None
) -> Accuracy | None:
    if found.accuracy is None:
        return None
    return Accuracy(found.accuracy, found.low, found.high, labels, population, found.measure)

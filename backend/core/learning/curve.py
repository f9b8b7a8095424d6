"""How well a project's classes are learnt, for people: the latest head, and the curve over all learning rounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from backend.core.domain import Head, Project
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

    def to_json(self) -> dict[str, Any]:
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
    return _accuracy(head.report, "judged") if head else None


def audit(head: Head | None) -> Accuracy | None:
    """On the audit's labels: a random sample of the pool; as it was recorded. None while it holds no label."""
    return _accuracy(head.report.get("audit") or {}, "labels") if head else None


def view(head: Head | None) -> HeadView | None:
    """None before the first head."""
    if head is None:
        return None
    kind, weights = head.report.get("kind", ""), head.report.get("weights") or {}
    return HeadView(kind, dict(weights), _ece(head), int(head.report.get("labels", 0)))


def _round(head: Head) -> Round:
    labels = int(head.report.get("labels", 0))
    return Round(head.id, head.features_version, head.created_at, labels, accuracy(head), audit(head), _ece(head))


def _ece(head: Head) -> float | None:
    """The report has 0.0 where nothing was judged; that is no error of 0."""
    return head.report.get("ece") if head.report.get("judged", 0) else None


def _accuracy(report: Mapping[str, Any], counted: str) -> Accuracy | None:
    if any(report.get(key) is None for key in ("accuracy", "low", "high")):
        return None
    low, high = float(report["low"]), float(report["high"])
    measure = str(report.get("measure", "accuracy"))
    return Accuracy(float(report["accuracy"]), low, high, report.get(counted), report.get("population"), measure)

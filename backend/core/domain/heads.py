"""What a learning round found of its head: figures, as they are stored and shown. Shares and accuracies are 0..1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

from backend.core.json_values import JSON

ACCURACY = "accuracy"
"""What is measured where a label is one class."""


@dataclass(frozen=True, slots=True)
class AuditAccuracy:
    """Accuracy, or what `measure` names, on `labels` audit labels with its interval; None, 0, 1 while there are none.

    population : tasks that the audit stands for. None: judged before there was an interval for every look, by Wilson's.
    """

    labels: int = 0
    right: int = 0
    accuracy: float | None = None
    low: float = 0.0
    high: float = 1.0
    population: int | None = None
    measure: str = ACCURACY

    def to_json(self) -> dict[str, JSON]:
        """As it is stored: the measure only where it is another."""
        return _spare(asdict(self))


@dataclass(frozen=True, slots=True)
class AuditReport(AuditAccuracy):
    """The same of one head among all: its number among those judged, and the digest of its `answers`."""

    head: int = 0
    answers: str = ""


@dataclass(frozen=True, slots=True)
class Mistake:
    """How often a label was taken for another class, out of fold."""

    label: str
    guess: str
    count: int


@dataclass(frozen=True, slots=True)
class SetFigures:
    """What is known only where labels are sets of classes; None, also of a class, where it was not judged."""

    macro_f1: float | None
    classes_judged: int
    exact: float | None
    average_precision: Mapping[str, float | None]
    thresholds: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Considered:
    """Whether to renew the features, and what this was decided on (see `selection.proxy.renewal.Evidence`).

    embed_seconds, train_seconds : what a renewal would take; None until something was measured.
    """

    action: Literal["renew", "wait"]
    reason: str
    mode: str
    labels: int
    classes: int
    paired: float
    logme: float | None
    logme_ped: float | None
    accuracy: float | None
    embed_seconds: float | None = None
    train_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class LearningReport:
    """Out-of-fold figures of a head (see `selection.proxy.report.HeadReport`), its audit, the advice that followed.

    accuracy : with its interval; None if nothing could be held out; what `measure` names. ece, log_loss : 0 then.
    judged : labels held out once; None: not recorded. recall : of each class, None if it was not judged.
    """

    kind: str = ""
    accuracy: float | None = None
    low: float = 0.0
    high: float = 1.0
    ece: float | None = None
    log_loss: float = 0.0
    temperature: float = 1.0
    weights: Mapping[str, float] = field(default_factory=dict)
    labels: int = 0
    judged: int | None = None
    recall: Mapping[str, float | None] = field(default_factory=dict)
    confusion: tuple[Mistake, ...] = ()
    measure: str = ACCURACY
    sets: SetFigures | None = None
    audit: AuditReport | None = None
    renewal: Considered | None = None

    def to_json(self) -> dict[str, JSON]:
        """As it is stored: the figures of sets beside the others, and no audit and renewal where there are none."""
        later: dict[str, JSON] = {}
        if self.audit:
            later["audit"] = self.audit.to_json()
        if self.renewal:
            later["renewal"] = asdict(self.renewal)
        plain = {name: value for name, value in asdict(self).items() if name not in ("sets", "audit", "renewal")}
        return {**_spare(plain), **(asdict(self.sets) if self.sets else {}), **later}


def _spare(entries: dict[str, JSON]) -> dict[str, JSON]:
    return {name: value for name, value in entries.items() if (name, value) != ("measure", ACCURACY)}

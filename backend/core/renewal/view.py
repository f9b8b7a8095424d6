"""A project's features for people: their versions, the advice with its costs, and the renewal under way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from backend.core.domain import Project
from backend.core.domain.training import FeatureSet
from backend.core.json_values import JSON
from backend.core.renewal import advise, pseudo
from backend.core.renewal.rules import mode_of
from backend.core.renewal.states import ongoing
from backend.core.services import Services


@dataclass(frozen=True, slots=True)
class Version:
    """One version of the features; accuracy_old, accuracy_new and p are of its acceptance test, on unseen labels."""

    version: int
    state: str
    backbone: str
    method: str | None
    base: int | None
    labels: int
    accuracy_old: float | None
    accuracy_new: float | None
    p: float | None
    train_seconds: float | None
    embed_rate: float | None  # images/s of one worker
    pseudo: Mapping[str, int] | None  # pseudo-labels trained on, of these labeled later, of these in agreement
    reason: str
    created_at: float


@dataclass(frozen=True, slots=True)
class Advice:
    """What the latest learning round measured, and what follows; seconds are None until they were measured here."""

    action: str
    reason: str
    labels: int
    logme: float | None
    logme_ped: float | None
    train_seconds: float | None
    embed_seconds: float | None


@dataclass(frozen=True, slots=True)
class UnderWay:
    """The renewal under way; `done` of `total` are epochs while it trains, tasks while it embeds."""

    version: int
    state: str
    method: str | None
    done: int
    total: int
    loss: float | None
    held_out_loss: float | None
    accuracy: float | None  # on the held-out labels, after the last epoch
    eta: float | None  # seconds until this part is done; training may stop early


@dataclass(frozen=True, slots=True)
class Features:
    """Everything `labelqueue features PROJECT` shows; `project` is Label Studio's id."""

    project: int
    live: int
    mode: str
    advice: Advice | None
    under_way: UnderWay | None
    embed_rate: float | None
    versions: tuple[Version, ...]

    def to_json(self) -> dict[str, JSON]:
        return asdict(self)


def features(services: Services, project: Project) -> Features:
    """A few database queries. Raises `QueueDown`."""
    sets = services.feature_sets.list(project.id)
    return Features(
        project=project.ls_id,
        live=project.features_version,
        mode=mode(services, project),
        advice=advice(services, project, sets),
        under_way=under_way(services, sets),
        embed_rate=advise.embed_rate(sets),
        versions=tuple(_version(services, item) for item in sets),
    )


def mode(services: Services, project: Project) -> str:
    """ "off", "suggest" or "auto" as a worker decides it, told without asking this process for a GPU."""
    if project.renewal:
        return project.renewal
    head = services.rankings.latest_head(project.id)
    noted = head.report.renewal.mode if head and head.report.renewal else None
    cuda = any(worker.device.startswith("cuda") for worker in services.jobs.workers())
    return noted or mode_of(None, gpu=cuda)


def advice(services: Services, project: Project, sets: Sequence[FeatureSet]) -> Advice | None:
    """What the latest round said of the live features; None while none has measured them."""
    if project.config.target.kind == "set":
        return Advice("wait", "features are renewed where a label is one class only", 0, None, None, None, None)
    head = services.rankings.latest_head(project.id)
    if head is None or head.features_version != project.features_version or head.report.renewal is None:
        return None
    told = head.report.renewal
    cost = advise.costs(services, project, sets)
    return Advice(
        told.action,
        told.reason,
        told.labels,
        told.logme,
        told.logme_ped,
        cost.train_seconds,
        cost.embed_seconds,
    )


def under_way(services: Services, sets: Sequence[FeatureSet]) -> UnderWay | None:
    """The renewal that trains, embeds or is judged now. While it embeds, tasks are counted."""
    item = ongoing(sets)
    if item is None:
        return None
    epochs = item.report.training.epochs if item.report.training else ()
    last = epochs[-1] if epochs else None
    done, total, eta = len(epochs), item.report.training.planned if item.report.training else 0, None
    if item.state == "training" and epochs:
        eta = sum(epoch.seconds for epoch in epochs) / done * (total - done)
    elif item.state != "training":
        counts = services.tasks.counts(item.project)
        total = counts.embedded + counts.pending
        done = max(total - services.tasks.waiting(item.project, item.version), 0)
        rate = advise.embed_rate(sets)
        eta = (total - done) / rate if rate and total and item.state == "embedding" else None
    return UnderWay(
        version=item.version,
        state=item.state,
        method=item.method,
        done=done,
        total=total,
        loss=last.loss if last else None,
        held_out_loss=last.held_out_loss if last else None,
        accuracy=last.accuracy if last else None,
        eta=eta,
    )


def _version(services: Services, item: FeatureSet) -> Version:
    report, judged = item.report, item.report.judgement
    return Version(
        version=item.version,
        state=item.state,
        backbone=item.backbone,
        method=item.method,
        base=item.base,
        labels=item.labels,
        accuracy_old=judged.accuracy_old if judged else None,
        accuracy_new=judged.accuracy_new if judged else None,
        p=judged.p if judged else None,
        train_seconds=report.train_seconds,
        embed_rate=report.embed_rate,
        pseudo=pseudo.agreement(services, item),
        reason=item.reason,
        created_at=item.created_at,
    )

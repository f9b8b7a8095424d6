"""What the features are worth now: measure, advise, say what a renewal costs; ASVP's trigger, run after each round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from backend.core.domain import Considered, Head, Project
from backend.core.domain.training import FeatureSet
from backend.core.learning.labels import read_labels
from backend.core.renewal import renew
from backend.core.renewal.rules import mode_of
from backend.core.renewal.states import ACCEPTED, BROKEN_OFF, ongoing
from backend.core.services import Services
from selection.proxy.renewal import Evidence, advise, measure


def consider(services: Services, project_id: int) -> str:
    """Measure the features with the labels at hand, note the advice in the head's report, start if the mode is auto.

    Returns the advice's action. Cost: LogME, O(m d min(m, d)) for m labels; runs after the order is live.
    """
    project = services.projects.get(project_id)
    head = services.rankings.latest_head(project_id)
    if head is None or head.features_version != project.features_version:
        return "wait"
    table = services.features.load(project_id, project.features_version)
    labels = read_labels(services, project, table)
    if labels.present is not None:  # features are renewed by single classes only
        return "wait"
    pool = services.pools.kept.get(project_id)
    scaling = pool.scaling if pool is not None and pool.version == project.features_version else None
    evidence = measure(table.vectors, labels.trainable, head.report.accuracy, scaling=scaling)
    sets = services.feature_sets.list(project_id)
    attempts = [item for item in sets if item.method is not None and item.state != "cancelled"]
    advice = advise(
        [*_evidence_of(services, project, head), evidence],
        renewals=sum(item.state in ACCEPTED for item in attempts),
        labels_then=attempts[-1].labels if attempts else 0,
        rejected=bool(attempts) and attempts[-1].state == "rejected",
    )
    mode = mode_of(project.renewal, gpu=services.gpu())
    cost = costs(services, project, sets)
    told = Considered(
        action=advice.action,
        reason=advice.reason,
        mode=mode,
        labels=evidence.labels,
        classes=evidence.classes,
        paired=evidence.paired,
        logme=evidence.logme,
        logme_ped=evidence.logme_ped,
        accuracy=evidence.accuracy,
        embed_seconds=cost.embed_seconds,
        train_seconds=cost.train_seconds,
    )
    services.rankings.note_renewal(head.id, told)
    if advice.action == "renew" and mode == "auto" and ongoing(sets) is None:
        renew.start(services, project_id)
    return advice.action


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds that a renewal would take here, from what was measured here; None until something was."""

    embed_seconds: float | None
    train_seconds: float | None


def costs(services: Services, project: Project, sets: Sequence[FeatureSet]) -> Costs:
    """From the newest features that were measured, and from the last fine-tuning that was not broken off."""
    rate = embed_rate(sets)
    done = [item for item in sets if item.state not in ("training", *BROKEN_OFF)]
    trained = [item.report.train_seconds for item in done if item.report.train_seconds]
    embedded = services.tasks.counts(project.id).embedded
    return Costs(embedded / rate if rate else None, trained[-1] if trained else None)


def embed_rate(sets: Sequence[FeatureSet]) -> float | None:
    """Images/s of one worker at the newest features that were measured; None until some were."""
    rates = [item.report.embed_rate for item in sets if item.report.embed_rate]
    return rates[-1] if rates else None


def _evidence_of(services: Services, project: Project, but: Head) -> list[Evidence]:
    """What earlier rounds measured on the live features."""
    heads = services.rankings.heads(project.id, project.features_version)
    kept = [head.report.renewal for head in heads if head.id != but.id and head.report.renewal is not None]
    return [
        Evidence(item.labels, item.classes, item.paired, item.logme, item.logme_ped, item.accuracy) for item in kept
    ]

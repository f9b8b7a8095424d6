"""What the features are worth now: measure, advise, say what a renewal costs; ASVP's trigger, run after each round."""

from __future__ import annotations

from collections.abc import Sequence

from backend.core.domain import Considered, Head, Project
from backend.core.domain.training import FeatureSet
from backend.core.learning.labels import read_labels
from backend.core.renewal import renew
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
    then = attempts[-1].labels if attempts else 0
    advice = advise(
        [*_evidence_of(services, project, head), evidence],
        renewals=sum(item.state in ("live", "retired") for item in attempts),
        labels_then=2 * then if attempts and attempts[-1].state == "rejected" else then,
    )
    told = Considered(
        action=advice.action,
        reason=advice.reason,
        mode=mode(services, project),
        labels=evidence.labels,
        classes=evidence.classes,
        paired=evidence.paired,
        logme=evidence.logme,
        logme_ped=evidence.logme_ped,
        accuracy=evidence.accuracy,
        **costs(services, project, sets),
    )
    services.rankings.note_renewal(head.id, told)
    if advice.action == "renew" and mode(services, project) == "auto" and renew.ongoing(sets) is None:
        renew.start(services, project_id)
    return advice.action


def mode(services: Services, project: Project) -> str:
    """ "off", "suggest" or "auto": the project's choice, else auto where there is a GPU."""
    return project.renewal or ("auto" if services.gpu() else "suggest")


def costs(services: Services, project: Project, sets: Sequence[FeatureSet]) -> dict[str, float | None]:
    """Seconds that a renewal would take here, from what was measured here; None until something was."""
    rate = embed_rate(sets)
    done = [item for item in sets if item.state not in ("training", "cancelled", "failed")]  # others stopped midway
    trained = [item.report.train_seconds for item in done if item.report.train_seconds]
    embedded = services.tasks.counts(project.id).embedded
    return {
        "embed_seconds": embedded / rate if rate else None,
        "train_seconds": trained[-1] if trained else None,
    }


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

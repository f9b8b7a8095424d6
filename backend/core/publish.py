"""Make a ranking Label Studio's queue, and keep it so.

One import of the head under a model_version that was never used before, then one PATCH that flips the queue, then a
look at the project. Until the PATCH the old order stands; whatever breaks, the next attempt uses a fresh version, so
a half-done one is never continued. We never ask for `next` to verify: that would lock the task for its reader.
"""

from __future__ import annotations

import structlog

from backend.core.domain import Prediction, Project, Publication, Ranking, RemoteProject
from backend.core.errors import LabelQueueError, LabelStudioDown, LabelStudioError, LabelStudioRefused
from backend.core.services import Services

log = structlog.get_logger()

SAMPLING = "Uncertainty sampling"


class NotPublished(LabelQueueError):
    """The order could not be made live; the one before stands."""


def publish(services: Services, project_id: int, ranking: Ranking | None = None) -> dict[str, float]:
    """Make the latest ranking (or the one given) live; does nothing if it is. Returns seconds by stage.

    Raises `LabelStudioError` or `NotPublished`; the old order stays live and a later attempt starts anew.
    """
    project = services.projects.get(project_id)
    ranking = ranking or services.rankings.latest(project_id)
    live = services.rankings.live(project_id)
    if ranking is None or not ranking.picks or (live and live.ranking == ranking.id):
        return {}
    started = services.clock.now()
    attempt = services.rankings.begin_publication(project_id, ranking.id, started)
    if live is None:  # after a wiped database the numbers start over, and an old version must not be added to
        taken = services.label_studio.versions(project.ls_id)
        while attempt.model_version in taken:
            services.rankings.set_publication(attempt.id, "deleted", reason="Label Studio has that version already")
            attempt = services.rankings.begin_publication(project_id, ranking.id, started)
    try:
        _import(services, project, ranking, attempt)
        imported = services.clock.now()
        services.label_studio.set_queue(project.ls_id, attempt.model_version)
        remote = services.label_studio.project(project.ls_id)
        if not _is_ours(remote, attempt):
            raise NotPublished(
                f"Label Studio shows sampling {remote.sampling!r} and model version {remote.model_version!r} right"
                " after they were set: somebody else sets them too; look for a second backend or open settings page"
            )
    except (LabelStudioError, NotPublished) as error:
        services.rankings.set_publication(attempt.id, "failed", reason=str(error))
        if isinstance(error, LabelStudioRefused):  # most often a task is gone: look before the next attempt
            services.jobs.submit("sync", key=f"sync:{project_id}", project=project_id)
        raise
    done = services.clock.now()
    services.rankings.set_publication(attempt.id, "live", at=done)
    services.jobs.submit("tidy", key=f"tidy:{project_id}", project=project_id)
    log.info("ranking is live", project=project_id, ranking=ranking.id, version=attempt.model_version)
    return {"import": imported - started, "switch": done - imported}


def _import(services: Services, project: Project, ranking: Ranking, attempt: Publication) -> None:
    known = {
        task.id
        for task in services.tasks.list(project.id, ids=[p.task_id for p in ranking.picks], limit=len(ranking.picks))
    }
    picks = [pick for pick in ranking.picks if pick.task_id in known]
    predictions = [
        Prediction(pick.task_id, place / len(picks), pick.guess if project.preannotate and not pick.audit else None)
        for place, pick in enumerate(picks)
    ]
    created = services.label_studio.import_predictions(
        project.ls_id, project.config, attempt.model_version, predictions
    )
    if created != len(predictions):
        raise NotPublished(
            f"Label Studio took {created} of {len(predictions)} predictions: it drops those whose label the label"
            " config does not know; LabelQueue reads the config again and ranks anew"
        )


def reassert(services: Services, project: Project, remote: RemoteProject) -> bool:
    """Point the queue at the live ranking again when a person or Label Studio reset it. True if it had to."""
    live = services.rankings.live(project.id)
    if live is None or _is_ours(remote, live):
        return False
    log.warning(
        "the queue was not ours: setting it again",
        project=project.id,
        sampling=remote.sampling,
        model_version=remote.model_version,
    )
    try:
        services.label_studio.set_queue(project.ls_id, live.model_version)
    except LabelStudioDown:
        raise
    except LabelStudioRefused as error:  # its predictions are gone: import them again under a new version
        services.rankings.set_publication(live.id, "failed", reason=str(error))
        services.jobs.submit("publish", key=f"publish:{project.id}", urgent=True, project=project.id)
    return True


def tidy(services: Services, project_id: int) -> int:
    """Delete our versions from Label Studio, except the live one and the one before it. Returns how many."""
    project = services.projects.get(project_id)
    remote = services.label_studio.project(project.ls_id)
    stale = services.rankings.publications(project_id, ("retired", "failed"))
    retired = [item for item in stale if item.state == "retired"]
    keep = {item.model_version for item in retired[:1]} | {remote.model_version}
    present = services.label_studio.versions(project.ls_id) if stale else {}
    deleted = 0
    for item in stale:
        if item.model_version in keep:
            continue
        if item.model_version in present:
            services.label_studio.delete_version(project.ls_id, item.model_version)
            deleted += 1
        services.rankings.set_publication(item.id, "deleted", reason=item.reason)
    return deleted


def _is_ours(remote: RemoteProject, publication: Publication) -> bool:
    return remote.sampling == SAMPLING and remote.model_version == publication.model_version

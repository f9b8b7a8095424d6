"""Make a ranking Label Studio's queue.

One import of the head under a model_version that was never used before, then one PATCH that flips the queue, then a
look at the project. Until the PATCH the old order stands; whatever breaks, the next attempt uses a fresh version, so
a half-done one is never continued. We never ask for `next` to verify: that would lock the task for its reader.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import structlog

from backend.core import jobs
from backend.core.domain import GUESSES, Pick, Prediction, Project, Publication, Ranking, RemoteProject
from backend.core.errors import LabelQueueError, LabelStudioDown, LabelStudioError, LabelStudioRefused, LeaseLost
from backend.core.queue.turn import Turn, turn
from backend.core.services import Services

log = structlog.get_logger()

SAMPLING = "Uncertainty sampling"
TRIES = 2  # PATCHes of one publication: a worker that slept through its lease may set its own version once after ours


class NotPublished(LabelQueueError):
    """The order could not be made live; the one before stands."""


def publish(services: Services, project_id: int) -> dict[str, float]:
    """Make the latest ranking live; does nothing if it is, or while another worker publishes the project.

    Returns seconds by stage. Raises `LabelStudioError` or `NotPublished`; the old order stays live and a later attempt
    starts anew.
    """
    project = services.projects.get(project_id)
    with turn(services, project_id) as ours:
        if ours is None:
            return {}
        ranking, live = services.rankings.latest(project_id), services.rankings.live(project_id)
        if ranking is None or (live and live.ranking == ranking.id):
            return {}
        return make_live(ours, project, ranking)


def make_live(
    ours: Turn, project: Project, ranking: Ranking, *, among: Collection[int] | None = None, healed: str = ""
) -> dict[str, float]:
    """Publish those picks whose tasks we know (and that are `among` these) under a fresh version.

    healed: what was wrong with the live one. Returns seconds by stage; {} if no pick is left, or if another worker
    took over meanwhile. Raises as `publish` does.
    """
    services = ours.services
    started = services.clock.now()
    picks = _known(services, project, ranking.picks, among)
    if not picks:
        log.info("no task of the ranking is left to publish", project=project.id, ranking=ranking.id)
        return {}
    try:
        attempt = services.rankings.begin_publication(
            project.id,
            ranking.id,
            started,
            token=ours.token,
            imported=[pick.task_id for pick in picks],
            healed=healed,
            avoid=services.label_studio.versions(project.ls_id),  # our numbers start over after a lost database
        )
        try:
            _import(services, project, attempt, picks)
            imported = services.clock.now()
            point(ours, project, attempt)
        except (LabelStudioError, NotPublished) as error:
            services.rankings.move_publication(project.id, attempt.id, "failed", token=ours.token, reason=str(error))
            if not isinstance(error, LabelStudioDown):  # a task or a class is gone: look before the next attempt
                look = jobs.sync if isinstance(error, LabelStudioRefused) else jobs.reconcile
                services.jobs.submit(look(project.id))
            raise
        done = services.clock.now()
        services.rankings.move_publication(project.id, attempt.id, "live", token=ours.token, at=done)
    except LeaseLost as error:  # perhaps after the PATCH: whoever looks next points the queue at what is live
        log.warning("left to the worker that took over", project=project.id, ranking=ranking.id, error=str(error))
        services.jobs.submit(jobs.reconcile(project.id).at_once)
        return {}
    services.jobs.submit(jobs.tidy(project.id))
    log.info("ranking is live", project=project.id, ranking=ranking.id, version=attempt.model_version)
    return {"import": imported - started, "switch": done - imported}


def point(ours: Turn, project: Project, publication: Publication) -> None:
    """Make Label Studio serve by this publication, and see that it does.

    Raises `NotPublished`, `LabelStudioError`, and `LeaseLost` before anything is changed.
    """
    for _ in range(TRIES):
        ours.check()
        ours.services.label_studio.set_queue(project.ls_id, publication.model_version)
        remote = ours.services.label_studio.project(project.ls_id)
        if serves(remote, publication):
            return
    raise NotPublished(
        f"Label Studio shows sampling {remote.sampling!r} and model version {remote.model_version!r} right after they"
        " were set: somebody else sets them too; look for a second backend or open settings page"
    )


def serves(remote: RemoteProject, publication: Publication) -> bool:
    """Whether Label Studio's queue follows this publication."""
    return remote.sampling == SAMPLING and remote.model_version == publication.model_version


def tidy(services: Services, project_id: int) -> int:
    """Delete our versions from Label Studio, except the live one and the one before it. Returns how many.

    What is to go is first marked so, in our turn: from then on nothing can make it live. The deletion itself takes
    Label Studio seconds and waits for nobody; one that was cut short is done by the next tidying.
    """
    project = services.projects.get(project_id)
    with turn(services, project_id) as ours:
        if ours is None:
            return 0  # that worker asks for the next tidying
        remote = services.label_studio.project(project.ls_id)
        stale = services.rankings.publications(project_id, ("retired", "failed"))
        before = next((item.model_version for item in stale if item.state == "retired"), "")
        for item in stale:
            if item.model_version not in (before, remote.model_version):
                services.rankings.move_publication(project_id, item.id, "deleted", token=ours.token, reason=item.reason)
    present = [version for version, count in services.label_studio.versions(project.ls_id).items() if count]
    doomed = services.rankings.deleted_versions(project_id, {name.removesuffix(GUESSES) for name in present})
    stray = [name for name in present if name.removesuffix(GUESSES) in doomed and name != remote.model_version]
    for version in stray:
        services.label_studio.delete_version(project.ls_id, version)
    return len(stray)


def _known(services: Services, project: Project, picks: Sequence[Pick], among: Collection[int] | None) -> list[Pick]:
    ids = [pick.task_id for pick in picks if among is None or pick.task_id in among]
    known = {task.id for task in services.tasks.list(project.id, ids=ids, limit=max(len(ids), 1))}
    return [pick for pick in picks if pick.task_id in known]


def _import(services: Services, project: Project, attempt: Publication, picks: Sequence[Pick]) -> None:
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

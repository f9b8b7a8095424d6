"""See at each look that Label Studio serves the live ranking, and all of it; repair it if not.

The queue is made of predictions, and people can delete predictions, import others under the same name, or move tasks
away; Label Studio then serves at random, or in another order, and says nothing. It does count predictions by version.

Tasks that are deleted or moved leave the project at once, but their predictions are counted on: until Label Studio has
deleted them in the background, or for ever. So the right count lies between that of the tasks that are there and that
of the import.
"""

from __future__ import annotations

import structlog

from backend.core.domain import Project, Publication, RemoteProject
from backend.core.errors import LabelStudioRefused, LeaseLost
from backend.core.queue.publish import NotPublished, make_live, point, serves
from backend.core.queue.turn import Turn, turn
from backend.core.services import Services

log = structlog.get_logger()


def reassert(services: Services, project: Project, remote: RemoteProject) -> bool:
    """Point Label Studio's queue at the live ranking again, publish it again if it is damaged; True if it had to.

    Costs one small request while all is well. What cannot be repaired now is left to the next look; raises
    `LabelStudioDown`.
    """
    live = services.rankings.live(project.id)
    if live is None or (serves(remote, live) and not damage(services, project, live)):
        return False
    with turn(services, project.id) as ours:
        if ours is None:
            return False
        try:
            return _repair(ours, project)
        except (NotPublished, LabelStudioRefused, LeaseLost) as error:
            log.warning(
                "the queue could not be repaired; the next look tries again", project=project.id, error=str(error)
            )
            return False


def damage(services: Services, project: Project, live: Publication) -> str:
    """What is wrong with the predictions of the live ranking, in words; "" if they are as many as they should be.

    Costs one small request while all is well. Our tables may not know yet which tasks are gone, so what looks wrong by
    them is asked of Label Studio.
    """
    imported = _imported(services, live)
    known = services.tasks.list(project.id, ids=sorted(imported), limit=max(len(imported), 1))
    if not _words(live, _counted(services, project, live), len(known), len(imported)):
        return ""
    return _wrong(services, project, live, imported)[0]


def _repair(ours: Turn, project: Project) -> bool:
    """With everything read anew: another worker may have published since the caller looked."""
    services = ours.services
    live, ranking = services.rankings.live(project.id), services.rankings.latest(project.id)
    if live is None or ranking is None:
        return False
    remote = services.label_studio.project(project.ls_id)
    wrong, present = _wrong(services, project, live, {pick.task_id for pick in ranking.picks})
    if wrong and not _healed_lately(services, project):
        log.warning("the queue is damaged: publishing it again", project=project.id, found=wrong)
        return bool(make_live(ours, project, ranking, among=present, healed=wrong))
    if serves(remote, live):
        return False
    log.warning(
        "the queue was not ours: setting it again",
        project=project.id,
        sampling=remote.sampling,
        model_version=remote.model_version,
    )
    point(ours, project, live)
    return True


def _wrong(services: Services, project: Project, live: Publication, more: set[int]) -> tuple[str, set[int]]:
    """What is wrong in words, or "", and which of the imported tasks and of `more` are in the project.

    Nothing is wrong while the count changes: somebody is at it, and the next look will tell.
    """
    imported = _imported(services, live)
    counted = _counted(services, project, live)
    present = set(services.label_studio.task_ids(project.ls_id, sorted(imported | more)))
    settled = counted == _counted(services, project, live)
    return (_words(live, counted, len(imported & present), len(imported)) if settled else ""), present


def _healed_lately(services: Services, project: Project) -> bool:
    """Whether the time between two looks has not passed since: an import costs Label Studio much, and looks that an
    event asks for come close together."""
    last = services.rankings.last_healing(project.id)
    return last is not None and services.clock.now() < last.created_at + services.options.reconcile_every


def _counted(services: Services, project: Project, live: Publication) -> int:
    return services.label_studio.versions(project.ls_id).get(live.model_version, 0)


def _imported(services: Services, live: Publication) -> set[int]:
    if live.imported is not None:
        return set(live.imported)
    return {pick.task_id for pick in services.rankings.get(live.ranking).picks}


def _words(live: Publication, counted: int, left: int, made: int) -> str:
    """`left` of the `made` predictions belong to tasks that are in the project; those of the others come and go."""
    if counted < left:
        gone = "all" if not counted else f"{left - counted} of"
        return f"{gone} {left} predictions of {live.model_version} were gone from Label Studio"
    if counted > made:
        return f"Label Studio held {counted} predictions of {live.model_version} where LabelQueue made {made}"
    return ""

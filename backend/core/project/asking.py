"""What became of a job that a person asked for: who does it, whether it is done, what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from backend.core.domain import JobView, Project, WorkerView
from backend.core.errors import LabelQueueError
from backend.core.learning import curve
from backend.core.project import wording
from backend.core.queue.nudges import Asked
from backend.core.services import Services


class NotDone(LabelQueueError):
    """The job failed, or nobody is there to do it."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What happens next, in words; `waits`: it waits or runs now."""

    words: str
    waits: bool


def outlook(services: Services, asked: Asked) -> Outlook:
    """Of a job that was asked for. Raises `QueueDown`."""
    view, crew = _view(services, asked.key), services.jobs.workers()
    if not asked.new and view is not None and view.state == "failed":
        return Outlook(f"not asked for: it failed a moment ago and is tried again by itself ({view.error})", False)
    begin = "asked for" if asked.new else "it waits or runs already"
    if not crew:
        return Outlook(f"{begin}, but no worker runs: it is done once one does (labelqueue worker)", True)
    doer = next((worker for worker in crew if worker.job == asked.key), None)
    if doer:
        return Outlook(f"{begin}; worker {doer.name} is at it", True)
    return Outlook(f"{begin}; {_next(crew)}", True)


def _next(crew: list[WorkerView]) -> str:
    idle = next((worker for worker in crew if not worker.job), None)
    if idle:
        return f"worker {idle.name} takes it now"
    return (
        f"the first of {len(crew)} busy workers takes it" if len(crew) > 1 else f"worker {crew[0].name} takes it next"
    )


def wait(services: Services, key: str, pause: Callable[[JobView | None], None]) -> None:
    """Return when the job is done; `pause` is called between looks with what is seen of it.

    Raises `NotDone` if it failed, or if no worker runs (any more); the job itself stays where it is.
    """
    while (view := _view(services, key)) is not None:
        if view.state == "failed":
            raise NotDone(f"it failed and is tried again by itself: {view.error}")
        if not services.jobs.workers():
            raise NotDone("no worker runs: it stays in the queue and is done once one does (labelqueue worker)")
        pause(view)


def learnt(services: Services, project: Project, before: int) -> str:
    """What a learning round made: the ranking newer than `before`, whether it is live, how well it is learnt."""
    made = services.rankings.latest(project.id)
    if made is None or made.id <= before:
        counts = services.tasks.counts(project.id)
        why = "no image is embedded yet" if not counts.embedded else "every embedded task is labeled"
        return f"no ranking was made: {why}"
    live = services.rankings.live(project.id)
    state = "live" if live and live.ranking == made.id else "not live yet: see labelqueue status"
    head = services.rankings.latest_head(project.id)
    told = wording.accuracy(curve.accuracy(head), curve.view(head))
    return f"ranking {made.id}: {len(made.picks)} tasks, {state}; accuracy: {told}"


def task_ids(services: Services, project: Project) -> set[int]:
    """Ids of all tasks that we know; reads all their rows."""
    return {task.id for task in services.tasks.list(project.id, limit=2**31 - 1)}


def looked(services: Services, project: Project, before: set[int]) -> str:
    """What a look at Label Studio found, against the tasks known `before`."""
    now, counts = task_ids(services, project), services.tasks.counts(project.id)
    return (
        f"{len(now)} tasks seen, {len(now - before)} added, {len(before - now)} removed; "
        f"{counts.labeled} labeled, {counts.skipped} skipped"
    )


def _view(services: Services, key: str) -> JobView | None:
    return next((view for view in services.jobs.jobs() if view.key == key), None)

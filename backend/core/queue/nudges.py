"""What people ask for by hand and jobs then do: learn now, look at Label Studio now, try failed images again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from backend.core import jobs
from backend.core.domain import Project
from backend.core.jobs import Job
from backend.core.queue import due
from backend.core.services import Services

ASKED_FOR = "asked for"  # the reason of a learning round that a person started


@dataclass(frozen=True, slots=True)
class Asked:
    """A job that a person asked for, by its key; not `new` if one waits or runs already."""

    key: str
    new: bool


def learn(services: Services, project: Project) -> Asked:
    """Train and rank at once, as "Start Training" does. Raises `QueueDown`."""
    return _ask(services, jobs.cycle(project.id, ASKED_FOR))


def look(services: Services, project: Project) -> Asked:
    """Compare all tasks with Label Studio. Raises `QueueDown`."""
    return _ask(services, jobs.sync(project.id).at_once)


def retry(services: Services, project: Project, ids: Sequence[int] | None = None) -> int:
    """Failed tasks (all, or those of `ids`) are embedded again; returns how many. Raises `QueueDown`."""
    count = services.tasks.retry_failed(project.id, ids)
    if count:
        due.nudge(services, project)
    return count


def _ask(services: Services, job: Job) -> Asked:
    return Asked(job.key, services.jobs.submit(job))

"""What people ask for by hand and jobs then do: learn now, look at Label Studio now, try failed images again."""

from __future__ import annotations

from collections.abc import Sequence

from backend.core.domain import Project
from backend.core.queue import due
from backend.core.services import Services


def learn(services: Services, project: Project) -> bool:
    """Train and rank at once, as "Start Training" does; False if a round waits or runs already. Raises `QueueDown`."""
    arguments = {"project": project.id, "reason": "asked for"}
    return services.jobs.submit("cycle", key=f"cycle:{project.id}", urgent=True, **arguments)


def look(services: Services, project: Project) -> bool:
    """Compare all tasks with Label Studio; False if such a look waits or runs already. Raises `QueueDown`."""
    return services.jobs.submit("sync", key=f"sync:{project.id}", urgent=True, project=project.id)


def retry(services: Services, project: Project, ids: Sequence[int] | None = None) -> int:
    """Failed tasks (all, or those of `ids`) are embedded again; returns how many. Raises `QueueDown`."""
    count = services.tasks.retry_failed(project.id, ids)
    if count:
        due.nudge(services, project)
    return count

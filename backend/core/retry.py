"""Try failed images again."""

from __future__ import annotations

from collections.abc import Sequence

from backend.core import due
from backend.core.domain import Project
from backend.core.services import Services


def retry(services: Services, project: Project, ids: Sequence[int] | None = None) -> int:
    """Failed tasks (all, or those of `ids`) are embedded again; returns how many. Raises `QueueDown`."""
    count = services.tasks.retry_failed(project.id, ids)
    if count:
        due.nudge(services, project)
    return count

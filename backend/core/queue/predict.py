"""Answer /predict from what is stored: no model runs, so any number of tasks is answered at once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from backend.core.domain import TITLE, Project, is_another, ls_id_of
from backend.core.errors import UnknownProject, UserError
from backend.core.json_values import JSON
from backend.core.kinds.suggest import regions
from backend.core.services import Services


def predict(services: Services, key: str, task_ids: Sequence[int]) -> list[dict[str, JSON]]:
    """One item per task, in order: the guess as a region, and a score that agrees with the live queue.

    Tasks of the live ranking score their position in [0, 1); all others lie behind it in [1, 2], least sure first.
    They have a model_version of their own, so that predictions fetched by hand are not taken for the queue's.
    """
    number = ls_id_of(key)
    if number is None:
        raise UserError(f"project {key[:40]!r} is not of the form <id>.<created>")
    project = _find(services, number, key)
    version = current_version(services, project)
    guesses = services.features.read_guesses(project.id, task_ids)
    positions: dict[int, float] = {}
    live = services.rankings.live(project.id)
    if live is not None:
        picks = services.rankings.get(live.ranking).picks
        positions = {pick.task_id: place / len(picks) for place, pick in enumerate(picks)}
    drawn = {task.id for task in services.tasks.list(project.id, ids=task_ids, limit=len(task_ids)) if task.audit}
    items: list[dict[str, JSON]] = []
    for task in task_ids:
        guess = guesses.get(task)
        behind = 1.0 + (guess.confidence if guess else 1.0)
        items.append(
            {
                "result": regions(project.config.target, guess) if project.preannotate and task not in drawn else [],
                "score": round(positions.get(task, behind), 6),
                "model_version": version,
            }
        )
    return items


def current_version(services: Services, project: Project) -> str:
    """The model_version under which answers to /predict stand in Label Studio now; see `Publication`."""
    live = services.rankings.live(project.id)
    return live.guesses_version if live else TITLE


def _find(services: Services, ls_id: int, key: str) -> Project:
    """The project by its key; one created at another time under the same id is another one."""
    with suppress(UnknownProject):
        project = services.projects.by_ls_id(ls_id)
        if not is_another(project.key, key):
            return project
    raise UserError(f"project {ls_id} is not connected yet; open its model settings once")

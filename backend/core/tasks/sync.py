"""Make our tables equal to Label Studio's: the reconciler, cheap and often; the full sync, rare or on demand.

Webhooks are sent once, with a second's patience, and get lost; what these functions find out does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice

import structlog

from backend.core.domain import PLAIN, READING, LabelConfig, Project, RemoteProject, RemoteTask
from backend.core.project.enroll import clear_features, enroll
from backend.core.project.ourselves import ensure_webhook
from backend.core.queue import due, heal
from backend.core.renewal import renew
from backend.core.services import Services

log = structlog.get_logger()

PAGE = 500  # tasks handled at a time
OVERLAP = 10.0  # seconds that a reconciliation looks back over the last one: Label Studio's clock is not ours


def reconcile(services: Services, project_id: int, *, full: bool = False) -> None:
    """Look at Label Studio and repair: label config, tasks, annotations, webhook secret, queue.

    A plain look asks only for tasks changed since the last one; a full one lists all. It turns full by itself when
    the numbers of tasks differ. Raises `LabelStudioError`; the next look repairs what this one could not.
    """
    project = services.projects.get(project_id)
    remote = services.label_studio.project(project.ls_id)
    project = _refresh_config(services, project, remote)
    if project.synced_at is None and not services.tasks.counts(project.id).tasks:
        clear_features(services, project)  # a database that was lost counts from 1 again: they are another project's
    full = (
        full or project.synced_at is None or services.jobs.hit(f"full:{project.id}", services.options.full_sync_every)
    )
    latest = _pull(services, project, None if full else project.synced_at)
    known = services.tasks.counts(project.id).tasks
    if full or known != remote.tasks:
        latest = max(latest, _match_ids(services, project, full))
    if full:
        ensure_webhook(services, project.ls_id)
    synced_at = max(latest - OVERLAP, project.synced_at or 0.0)
    services.projects.edit(project.id, lambda now: replace(now, synced_at=synced_at))
    heal.reassert(services, project, remote)
    due.nudge(services, services.projects.get(project.id))


def _refresh_config(services: Services, project: Project, remote: RemoteProject) -> Project:
    """Take over title and label config; all tasks are read anew when images or labels are to be read otherwise."""
    unread = not project.config.classes and not project.config.image_key
    unread |= (project.config.reading, project.config.asked) != (READING, project.learn_from)
    same = (project.label_config, project.title, project.key) == (remote.label_config, remote.title, remote.key)
    if same and not unread:
        return project
    config = services.label_studio.parse_config(remote.label_config, project.learn_from)
    if _read_by(config) != _read_by(project.config):  # first, so that a death before the next line forgets nothing
        services.projects.edit(project.id, lambda now: replace(now, synced_at=None))
    return enroll(services, remote, config)


def _read_by(config: LabelConfig) -> tuple[object, ...]:
    """What decides which images and labels are read out of a task."""
    target = config.target
    return config.shown, target.kind, target.family, target.tag, target.nested, config.reading


def _pull(services: Services, project: Project, since: float | None) -> float:
    """Fold Label Studio's tasks (changed since, or all) into ours; returns the newest updated_at seen."""
    newest = since or 0.0
    for page in _pages(services.label_studio.tasks(project.ls_id, project.config, since=since)):
        take(services, project, page)
        newest = max(newest, max(task.updated_at for task in page))
    return newest


def take(services: Services, project: Project, tasks: Sequence[RemoteTask]) -> None:
    """Add or change these tasks and make their annotations what Label Studio shows."""
    known = {task.id: task for task in services.tasks.list(project.id, ids=[t.id for t in tasks], limit=len(tasks))}
    moved = [t.id for t in tasks if t.id in known and known[t.id].refs != t.refs]
    if moved:
        renew.forget(services, project.id, moved)
    pages = {task.id: task.pages for task in tasks if task.pages != PLAIN}
    services.tasks.upsert(project.id, [(task.id, task.image) for task in tasks], pages)
    services.tasks.replace(project.id, tasks)


def _match_ids(services: Services, project: Project, pulled_all: bool) -> float:
    """Drop tasks that Label Studio no longer has; if it has some that we lack, pull everything.

    A full look also finds features that outlived their tasks.
    """
    ids = services.label_studio.task_ids(project.ls_id)
    gone = services.tasks.keep_only(project.id, ids)
    if gone:
        log.info("tasks deleted in Label Studio", project=project.id, tasks=len(gone))
        renew.forget(services, project.id, gone)
    if pulled_all:
        renew.forget_all_but(services, project.id, ids)
    elif services.tasks.counts(project.id).tasks != len(ids):
        return _pull(services, project, None)
    return 0.0


def _pages(tasks: Iterable[RemoteTask]) -> Iterable[list[RemoteTask]]:
    stream = iter(tasks)
    while page := list(islice(stream, PAGE)):
        yield page

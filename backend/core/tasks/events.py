"""Webhook events: taken in within a millisecond, folded into the label table by a job.

`receive` runs in the web process and keeps only what the table needs; `absorb` runs in a worker. Events are hints:
whatever is lost, late, doubled or out of order is repaired by `backend.core.tasks.sync.reconcile`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, cast

import structlog

from backend.core import jobs
from backend.core.domain import Annotation, Deleted, Target
from backend.core.errors import UnknownProject
from backend.core.jobs import Job
from backend.core.kinds.annotations import label_of, parse_time
from backend.core.kinds.said import said
from backend.core.queue import due, nudges
from backend.core.renewal import renew
from backend.core.services import Services

log = structlog.get_logger()

WRITTEN = {"ANNOTATION_CREATED", "ANNOTATIONS_CREATED", "ANNOTATION_UPDATED"}
GONE = {
    "ANNOTATIONS_DELETED": "annotations",
    "ANNOTATION_DELETED": "annotations",
    "TASKS_DELETED": "tasks",
    "TASK_DELETED": "tasks",
}
NUDGES: Mapping[str, Callable[[int], Job]] = {
    "TASKS_CREATED": jobs.sync,
    "TASK_CREATED": jobs.sync,
    "PROJECT_UPDATED": jobs.reconcile,
    "START_TRAINING": lambda project: jobs.cycle(project, nudges.ASKED_FOR),
}


def receive(services: Services, payload: Mapping[str, Any]) -> None:
    """Take one webhook body (any shape; what we do not know is ignored) and nudge the workers.

    Raises `QueueDown` when Redis does not answer. Cost: one or two Redis calls.
    """
    action = payload.get("action")
    ls_id = _project_of(payload)
    if not isinstance(action, str) or ls_id is None:
        return
    if action in WRITTEN:
        written = [event for raw in _items(payload, "annotation") if (event := _written(ls_id, raw)) is not None]
        services.jobs.push_events(written)
        services.jobs.submit(jobs.absorb())
    elif action in GONE:
        kind = GONE[action]
        ids = [item["id"] for item in _items(payload, kind[:-1]) if _is_id(item.get("id"))]
        if ids:
            services.jobs.push_events([{"gone": kind, "project": ls_id, "ids": ids, "at": services.clock.now()}])
            services.jobs.submit(jobs.absorb())
    elif action in NUDGES:
        with suppress(UnknownProject):
            services.jobs.submit(NUDGES[action](services.projects.by_ls_id(ls_id).id))


def absorb(services: Services, limit: int = 1000) -> int:
    """Fold all waiting events into the label tables; returns how many tasks changed. Safe to run twice."""
    changed = 0
    touched: set[int] = set()
    while True:
        with services.jobs.take_events(limit) as events:
            if not events:
                break
            by_project: dict[int, list[dict[str, Any]]] = defaultdict(list)
            for event in filter(_is_event, events):
                by_project[cast(int, event["project"])].append(event)
            strange = len(events) - sum(map(len, by_project.values()))
            if strange:
                log.warning("passed over events that we did not write", events=strange)
            for ls_id, mine in by_project.items():
                try:
                    project = services.projects.by_ls_id(ls_id)
                except UnknownProject:
                    log.info("events of a project that is not connected", ls_id=ls_id, events=len(mine))
                    continue
                annotations, deleted = _parse(mine, project.config.target)
                changed += services.tasks.apply(project.id, annotations, deleted)
                gone = [i for item in deleted if item.kind == "tasks" for i in item.ids]
                if gone:
                    renew.forget(services, project.id, gone)
                touched.add(project.id)
    for project_id in touched:
        due.nudge(services, services.projects.get(project_id))
    return changed


def _project_of(payload: Mapping[str, Any]) -> int | None:
    project = payload.get("project")
    number = project.get("id") if isinstance(project, Mapping) else project
    return number if _is_id(number) else None


def _is_id(value: Any) -> bool:
    """Whether a database could hold it as an id."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**63


def _is_event(event: Mapping[str, Any]) -> bool:
    """Whether it has the form in which `receive` keeps events: another form must not stop all others."""
    at = event.get("at")
    if not _is_id(event.get("project")) or not isinstance(at, int | float) or not math.isfinite(at):
        return False
    if "gone" in event:
        ids = event.get("ids")
        return event["gone"] in GONE.values() and isinstance(ids, list) and all(map(_is_id, ids))
    choices = event.get("choices")
    return (
        _is_id(event.get("id"))
        and _is_id(event.get("task"))
        and isinstance(event.get("skipped"), bool)
        and isinstance(choices, list)
        and all(map(_is_choice, choices))
    )


def _is_choice(pair: Any) -> bool:
    """`said.Said`, as JSON keeps it."""
    if not isinstance(pair, list | tuple) or len(pair) != 2 or not isinstance(pair[1], list | tuple | None):
        return False
    return isinstance(pair[0], str) and all(isinstance(name, str) or _is_path(name) for name in pair[1] or ())


def _is_path(name: Any) -> bool:
    return isinstance(name, list | tuple) and all(isinstance(part, str) for part in name)


def _items(payload: Mapping[str, Any], noun: str) -> list[Mapping[str, Any]]:
    """The objects under `noun` or its plural, given singly or as a list."""
    value = payload.get(noun, payload.get(noun + "s"))
    listed = value if isinstance(value, list) else [value]
    return [item for item in listed if isinstance(item, Mapping)]


def _written(project: int, raw: Mapping[str, Any]) -> dict[str, Any] | None:
    number, task = raw.get("id"), raw.get("task")
    if not _is_id(number) or not _is_id(task):
        return None
    return {
        "project": project,
        "id": number,
        "task": task,
        "skipped": bool(raw.get("was_cancelled")),
        "at": parse_time(raw.get("updated_at") or raw.get("created_at")),
        "choices": said(raw.get("result")),
    }


def _parse(events: list[dict[str, Any]], target: Target) -> tuple[list[Annotation], list[Deleted]]:
    annotations, deleted = [], []
    for event in events:
        if "gone" in event:
            deleted.append(Deleted(event["gone"], tuple(event["ids"]), event["at"]))
        else:
            label = label_of(event["choices"], target)
            annotations.append(Annotation(event["id"], event["task"], label, event["skipped"], event["at"]))
    return annotations, deleted

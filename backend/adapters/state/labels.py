"""The label table: annotations with tombstones, and what they make of each task.

Every function runs in the caller's transaction, which holds the project (`Database.write`), so that whoever recomputes
a task sees all of its annotations.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from backend.adapters.state.tables import marks, task_classes, tasks
from backend.adapters.state.values import LARGEST_ID, LONGEST_CHOICE, among, chunks, clean, set_of, set_text
from backend.core.domain import Annotation, Label, RemoteTask
from backend.core.kinds.vote import verdict

Rows = dict[int, Row[Any]]


def write_newer(connection: Connection, project: int, incoming: Sequence[Annotation]) -> set[int]:
    """Store annotations that are newer than what we know of them; returns the tasks concerned."""
    newest: dict[int, Annotation] = {}
    for item in incoming:
        if not (0 < item.id <= LARGEST_ID and 0 < item.task_id <= LARGEST_ID):
            continue  # no such id can exist: a forged event must not stop the true ones
        if item.id not in newest or item.updated_at > newest[item.id].updated_at:
            newest[item.id] = item
    known = _by_id(connection, project, list(newest))
    accepted = [
        item
        for item in newest.values()
        if item.id not in known or (not known[item.id].final and item.updated_at > known[item.id].updated_at)
    ]
    _store(connection, [_shown(project, item) for item in accepted])
    return _tasks_of(accepted) | _tasks_of(known[item.id] for item in accepted if item.id in known)


def write_deleted(connection: Connection, project: int, ids: Mapping[int, float]) -> set[int]:
    """Make annotations (id -> time) tombstones for good; returns the tasks concerned."""
    ids = {number: at for number, at in ids.items() if 0 < number <= LARGEST_ID}
    known = _by_id(connection, project, list(ids))
    fresh = [number for number in ids if number not in known or not known[number].final]
    graves = [
        _grave(project, number, known[number].task_id if number in known else None, ids[number], final=True)
        for number in fresh
    ]
    _store(connection, graves)
    return _tasks_of(known[number] for number in fresh if number in known)


def write_exactly(connection: Connection, project: int, remote: Sequence[RemoteTask]) -> set[int]:
    """Make the annotations of these tasks what Label Studio shows; returns the tasks concerned.

    Label Studio was read a while ago, and events may have overtaken the reading. An annotation changes its task's
    updated_at too, so one of ours that is newer than the task as read is kept though it is not shown, and a shown one
    never replaces a newer one. A missing one becomes a tombstone that a later reading may lift again.
    """
    read_at = {task.id: task.updated_at for task in remote}
    shown = {item.id: item for task in remote for item in task.annotations}
    known = _by_task(connection, project, list(read_at)) | _by_id(connection, project, list(shown))
    rows = [
        _shown(project, item)
        for item in shown.values()
        if item.id not in known or _lifts(known[item.id], item, read_at.get(item.task_id, item.updated_at))
    ]
    missing = [
        row
        for row in known.values()
        if row.id not in shown and not row.deleted and row.updated_at <= read_at.get(row.task_id, float("-inf"))
    ]
    rows += [_grave(project, row.id, row.task_id, read_at[row.task_id], final=False) for row in missing]
    _store(connection, rows)
    return {row["task_id"] for row in rows} | _tasks_of(known[row["id"]] for row in rows if row["id"] in known)


def _lifts(known: Row[Any], item: Annotation, read_at: float) -> bool:
    """Whether a shown annotation says more than the row that we have."""
    if known.final:
        return False
    if known.deleted:
        return bool(read_at >= known.updated_at)
    same = (known.task_id, known.choice, known.present, known.skipped, known.updated_at) == (
        item.task_id,
        _choice(item),
        set_text(item.label),
        item.skipped,
        item.updated_at,
    )
    return bool(item.updated_at >= known.updated_at) and not same


def recompute(connection: Connection, project: int, task_ids: Iterable[int], now: float) -> int:
    """Bring label, skip and annotated of these tasks in line with their annotations; returns how many tasks changed."""
    changed: list[dict[str, Any]] = []
    sets: dict[int, frozenset[str]] = {}
    for some in chunks(sorted(task_ids)):
        shown: dict[int, list[_Seen]] = defaultdict(list)
        query = select(marks).where(marks.c.project == project, among(marks.c.task_id, some), ~marks.c.deleted)
        for row in connection.execute(query):
            told = row.choice if row.present is None else set_of(row.present)
            shown[row.task_id].append(_Seen(row.id, told, row.skipped, row.updated_at))
        before = select(tasks.c.id, tasks.c.label, tasks.c.present, tasks.c.skipped, tasks.c.annotated)
        for task in connection.execute(before.where(tasks.c.project == project, among(tasks.c.id, some))):
            label, skipped, annotated = verdict(shown[task.id])
            one, present = label if isinstance(label, str) else None, set_text(label)
            if (one, present, skipped, annotated) != tuple(task)[1:]:
                changed.append({"task": task.id, "is": one, "are": present, "skip": skipped, "seen": annotated})
                if present != task.present:
                    sets[task.id] = label if isinstance(label, frozenset) else frozenset()
    if changed:
        mine = (tasks.c.project == project) & (tasks.c.id == bindparam("task"))
        values: dict[str, Any] = {
            "label": bindparam("is"),
            "present": bindparam("are"),
            "skipped": bindparam("skip"),
            "annotated": bindparam("seen"),
        }
        connection.execute(update(tasks).where(mine).values(**values, changed_at=now), changed)
    _write_classes(connection, project, sets)
    return len(changed)


class _Seen(NamedTuple):
    """An annotation as `verdict` takes it."""

    id: int
    label: Label | None
    skipped: bool
    updated_at: float


def _write_classes(connection: Connection, project: int, sets: Mapping[int, frozenset[str]]) -> None:
    """Make the classes of these tasks exactly those, for counting."""
    drop_classes(connection, project, sorted(sets))
    rows = [{"project": project, "task_id": task, "name": name} for task in sets for name in sorted(sets[task])]
    if rows:
        connection.execute(insert(task_classes), rows)


def drop_classes(connection: Connection, project: int, task_ids: Sequence[int]) -> None:
    """Of tasks that go, or whose set changes."""
    for some in chunks(task_ids):
        theirs = (task_classes.c.project == project, among(task_classes.c.task_id, some))
        connection.execute(delete(task_classes).where(*theirs))


def _by_id(connection: Connection, project: int, ids: Sequence[int]) -> Rows:
    return _known(connection, project, marks.c.id, ids)


def _by_task(connection: Connection, project: int, task_ids: Sequence[int]) -> Rows:
    return _known(connection, project, marks.c.task_id, task_ids)


def _known(connection: Connection, project: int, column: Any, values: Sequence[int]) -> Rows:
    found: Rows = {}
    for some in chunks(values):
        query = select(marks).where(marks.c.project == project, among(column, some))
        found.update((row.id, row) for row in connection.execute(query))
    return found


def _tasks_of(rows: Iterable[Any]) -> set[int]:
    return {row.task_id for row in rows if row.task_id is not None}


def _choice(item: Annotation) -> str | None:
    return clean(item.label[:LONGEST_CHOICE]) if isinstance(item.label, str) else None


def _shown(project: int, item: Annotation) -> dict[str, Any]:
    return {
        "project": project,
        "id": item.id,
        "task_id": item.task_id,
        "choice": _choice(item),
        "present": set_text(item.label),
        "skipped": item.skipped,
        "updated_at": item.updated_at,
        "deleted": False,
        "final": False,
    }


def _grave(project: int, number: int, task_id: int | None, at: float, *, final: bool) -> dict[str, Any]:
    return {
        "project": project,
        "id": number,
        "task_id": task_id,
        "choice": None,
        "present": None,
        "skipped": False,
        "updated_at": at,
        "deleted": True,
        "final": final,
    }


def _store(connection: Connection, rows: list[dict[str, Any]]) -> None:
    """Insert or overwrite by (project, id)."""
    if not rows:
        return
    make: Any = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(marks)
    names = [column.name for column in marks.c if not column.primary_key]
    make = make.on_conflict_do_update(index_elements=["project", "id"], set_={n: make.excluded[n] for n in names})
    connection.execute(make, rows)

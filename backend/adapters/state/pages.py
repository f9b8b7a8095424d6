"""The images of a task in its row: the first one as `image`, as `pages` (JSON) what there is to tell of several."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, bindparam, insert, update

from backend.adapters.state.tables import tasks
from backend.adapters.state.values import clean, set_of
from backend.core.domain import PLAIN, Pages, Task

NO_IMAGE = "the task has no image: its data lacks the key that the label config names"
SHOWN = tuple(
    tasks.c[name] for name in ("id", "image", "state", "reason", "label", "present", "skipped", "annotated", "pages")
)  # what `task_of` takes

Images = tuple[str | None, str | None]
"""The columns `image` and `pages`."""


Columns = Mapping[str, str | None]


def columns(image: str | None, pages: Pages | None) -> Columns:
    """What a task is stored with before anybody embeds it."""
    told = json.dumps(asdict(pages), ensure_ascii=False) if pages and pages != PLAIN else None
    stored = {"image": None if image is None else clean(image), "pages": None if told is None else clean(told)}
    if image is not None:
        return {**stored, "state": "pending", "reason": ""}
    return {**stored, "state": "failed", "reason": clean((pages.note if pages else "") or NO_IMAGE)}


def images(stored: Columns) -> Images:
    """Of what `columns` made, that by which a change is told."""
    return stored["image"], stored["pages"]


def is_moved(before: Images, after: Images) -> bool:
    """Whether a task shows other images, or has none and another reason for it."""
    return after[0] is None or refs_of(*before) != refs_of(*after)


def refs_of(image: str | None, pages: str | None) -> tuple[str, ...]:
    """References of all images."""
    return _decode(pages).refs or (() if image is None else (image,))


def task_of(row: Any) -> Task:
    """A row of `SHOWN` and `audit`. What is left out of its pages is told with the reason."""
    fields = dict(row._mapping)
    pages = _decode(fields.pop("pages"))
    present = set_of(fields.pop("present"))
    fields["present"] = None if present is None else tuple(sorted(present))
    told = [pages.note, row.reason] if row.image is not None else [row.reason]
    return Task(**{**fields, "reason": "; ".join(filter(None, told)), "pages": pages.refs})


def insert_rows(connection: Connection, project: int, rows: Mapping[int, Columns]) -> None:
    """New tasks with what `columns` made."""
    if rows:
        connection.execute(insert(tasks), [{"project": project, "id": task, **row} for task, row in rows.items()])


def change_rows(connection: Connection, project: int, rows: Mapping[int, Columns], **also: Any) -> None:
    """Set what is in the rows (all of the same columns) of known tasks, and `also` of each."""
    if rows:
        mine = (tasks.c.project == project, tasks.c.id == bindparam("task"))
        values: dict[str, Any] = {name: bindparam(f"to_{name}") for name in next(iter(rows.values()))}
        told = [{"task": task} | {f"to_{name}": row[name] for name in row} for task, row in rows.items()]
        connection.execute(update(tasks).where(*mine).values({**values, **also}), told)


def _decode(column: str | None) -> Pages:
    if column is None:
        return PLAIN
    stored = json.loads(column)
    return Pages(tuple(stored["refs"]), stored["note"])

"""What becomes of a project's tasks when a feature version is filled or goes live; part of that transaction."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, and_, bindparam, delete, select, update

from backend.adapters.state.tables import tasks, to_embed
from backend.adapters.state.to_embed import drop_others, want, want_all
from backend.adapters.state.values import among, chunks


def all_pending(connection: Connection, project: int, version: int) -> None:
    """The live version holds nothing (yet): every task that has an image becomes pending."""
    mine = (tasks.c.project == project, tasks.c.image.is_not(None))
    connection.execute(update(tasks).where(*mine).values(state="pending", reason="", digest=""))
    want_all(connection, project, version, tasks.c.image.is_not(None), claims=0)


def begin_filling(connection: Connection, project: int, version: int) -> None:
    """The version is filled beside the live one: every task is due in it unless its image cannot be read."""
    want_all(connection, project, version, and_(tasks.c.image.is_not(None), tasks.c.state != "failed"), claims=0)


def fit_to_features(connection: Connection, project: int, version: int, stored: Collection[int]) -> None:
    """The version, which holds `stored`, has become live: the tasks' states become what they are in it.

    An embedded task that it lacks becomes pending, or failed if the version gave it up; a failed one that it holds is
    embedded. What is pending may be stored, so that the next claimant must look (see `release`). Nothing is due in
    other versions any more. Cost: the ids of all tasks with an image, and a write of each that is not embedded.
    """
    holds = set(stored)
    of = select(tasks.c.id).where(tasks.c.project == project, tasks.c.image.is_not(None))
    lacking = set(connection.execute(of.where(tasks.c.state == "embedded")).scalars()) - holds
    regained = holds.intersection(connection.execute(of.where(tasks.c.state == "failed")).scalars())
    refused = _given_up(connection, project, version, lacking)
    drop_others(connection, project, version)
    _keep_pending(connection, project, version)
    want_all(connection, project, version, tasks.c.state == "pending", claims=1)
    due = sorted(lacking.difference(refused))
    want(connection, project, due, version=version)
    _set(connection, project, due, "pending")
    _set(connection, project, sorted(regained), "embedded")
    if refused:
        mine = (tasks.c.project == project, tasks.c.id == bindparam("the"))
        rows = [{"the": task, "why": why} for task, why in refused.items()]
        connection.execute(update(tasks).where(*mine).values(state="failed", reason=bindparam("why"), digest=""), rows)


def _given_up(connection: Connection, project: int, version: int, ids: set[int]) -> dict[int, str]:
    """Which of these could not be embedded for the version, with the reasons."""
    query = select(to_embed.c.task, to_embed.c.reason).where(*_of(project, version), to_embed.c.reason.is_not(None))
    return {task: why for task, why in connection.execute(query) if task in ids}


def _keep_pending(connection: Connection, project: int, version: int) -> None:
    """Nothing is due but what is pending: not what was given up, nor what came due as the version was being judged."""
    pending = select(tasks.c.id).where(tasks.c.project == project, tasks.c.state == "pending")
    connection.execute(delete(to_embed).where(*_of(project, version), to_embed.c.task.not_in(pending)))


def _of(project: int, version: int) -> tuple[Any, ...]:
    return to_embed.c.project == project, to_embed.c.version == version


def _set(connection: Connection, project: int, ids: list[int], state: str) -> None:
    for some in chunks(ids):
        mine = (tasks.c.project == project, among(tasks.c.id, some))
        connection.execute(update(tasks).where(*mine).values(state=state, reason=""))

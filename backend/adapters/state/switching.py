"""What becomes of a project's tasks when another version of its features goes live; part of that transaction."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, select, update

from backend.adapters.state.tables import tasks
from backend.adapters.state.tasks import ANEW
from backend.adapters.state.values import among, chunks


def all_pending(connection: Connection, project: int) -> None:
    """A feature version that holds nothing yet has become live: every task that has an image becomes pending."""
    mine = (tasks.c.project == project, tasks.c.image.is_not(None))
    connection.execute(update(tasks).where(*mine).values(**ANEW, state="pending", reason=""))


def fit_to_features(connection: Connection, project: int, stored: Collection[int]) -> None:
    """A feature version that holds `stored` has become live: embedded tasks that it lacks become pending.

    What is pending may be stored, so that the next claimant must look (see `release`); who has it now embeds it for the
    version before. Cost: the ids of all embedded tasks, and a write of each pending one.
    """
    embedded = select(tasks.c.id).where(tasks.c.project == project, tasks.c.state == "embedded")
    lacking = sorted(set(connection.execute(embedded).scalars()).difference(stored))
    pending = (tasks.c.project == project, tasks.c.state == "pending")
    connection.execute(update(tasks).where(*pending).values(**{**ANEW, "claims": 1}))
    for some in chunks(lacking):
        connection.execute(
            update(tasks).where(tasks.c.project == project, among(tasks.c.id, some)).values(**ANEW, state="pending")
        )

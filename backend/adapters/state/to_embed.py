"""What is to embed: a row for each task that a feature version lacks, for the live version and the one being made.

A row goes when its vector is stored. A task is pending if, and only if, it has a row of the live version. The functions
here make and drop rows, in the transaction of whatever makes tasks due; workers lease them in `leases`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, case, delete, literal, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from backend.adapters.state.tables import feature_sets, projects, tasks, to_embed
from backend.adapters.state.values import among, chunks
from backend.core.domain.training import FeatureSetState

MADE: FeatureSetState = "embedding"
"""The state in which a version that is not live is filled."""

SHOWN = ("project", "task", "version", "claims", "stale")


def live_version(connection: Connection, project: int) -> int:
    """The version that the project serves from."""
    query = select(projects.c.features_version).where(projects.c.id == project)
    return int(connection.execute(query).scalar_one())


def want(
    connection: Connection,
    project: int,
    ids: Sequence[int],
    *,
    version: int | None = None,
    claims: int = 0,
    stale: bool = False,
) -> None:
    """These tasks are due in `version`, or in all that are filled now.

    claims : 1 if the vector may be stored already; stale : if what is stored may be of another image.
    """
    versions = _filled(connection, project) if version is None else [version]
    rows = [
        {"project": project, "task": task, "version": number, "claims": claims, "stale": stale}
        for number in versions
        for task in ids
    ]
    for some in chunks(rows):
        connection.execute(_anew(connection), some)


def want_all(connection: Connection, project: int, version: int, which: Any, *, claims: int) -> None:
    """All tasks of the project that fulfil `which` are due in the version. One statement."""
    values = (tasks.c.project, tasks.c.id, literal(version), literal(claims), literal(False))
    found: Select[Any] = select(*values).where(tasks.c.project == project, which)
    connection.execute(_anew(connection, found))


def drop_tasks(connection: Connection, project: int, ids: Sequence[int]) -> None:
    """Tasks that are deleted, or have no image any more, are due nowhere."""
    for some in chunks(sorted(ids)):
        connection.execute(delete(to_embed).where(to_embed.c.project == project, among(to_embed.c.task, some)))


def drop_version(connection: Connection, project: int, version: int) -> None:
    """Nothing is due in this version any more: whoever works for it stores nothing from now on."""
    connection.execute(delete(to_embed).where(to_embed.c.project == project, to_embed.c.version == version))


def drop_others(connection: Connection, project: int, version: int) -> None:
    """Nothing is due in versions other than this one."""
    connection.execute(delete(to_embed).where(to_embed.c.project == project, to_embed.c.version != version))


def _filled(connection: Connection, project: int) -> list[int]:
    made = select(feature_sets.c.version).where(feature_sets.c.project == project, feature_sets.c.state == MADE)
    return [live_version(connection, project), *connection.execute(made).scalars()]


def _anew(connection: Connection, found: Select[Any] | None = None) -> Any:
    """Insert rows of `SHOWN`, given or `found`; of those that are there, begin anew.

    Whoever has one leased works on what it was: it keeps the lease, so that nobody else stores at the same time, and
    its result does not count.
    """
    make: Any = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(to_embed)
    if found is not None:
        make = make.from_select(SHOWN, found)
    held = to_embed.c.owner.is_not(None)
    return make.on_conflict_do_update(
        index_elements=["project", "task", "version"],
        set_={
            "claims": make.excluded.claims,
            "deaths": 0,
            "unanswered": 0,
            "reason": None,
            "stale": or_(to_embed.c.stale, make.excluded.stale),
            "voided": held,
            "leased_until": case((held, to_embed.c.leased_until), else_=None),
        },
    )

"""Leases of what is to embed: any number of workers, each task in one hand at a time, for any feature version.

Cost of each call: the rows that it is about. Nothing reads, counts or orders all tasks.
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, and_, bindparam, case, delete, func, or_, select, update

from backend.adapters.state.engine import Database
from backend.adapters.state.pages import refs_of
from backend.adapters.state.tables import tasks, to_embed
from backend.adapters.state.to_embed import live_version
from backend.adapters.state.values import among, chunks, clean
from backend.core.domain import Claim

SINGLY = 2
"""Workers that died over a shard after which its rest is claimed one by one."""

_FREE: dict[str, Any] = {"owner": None, "leased_until": None, "voided": False}


class SqlLeases:
    """Implements `ports.Leases`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def waiting(self, project: int, version: int | None = None, most: int | None = None) -> int:
        """How many tasks the version lacks, leased ones included; counts no further than `most`."""
        with self._db.read() as connection:
            found = select(to_embed.c.task).where(_waits(project, _version(connection, project, version)))
            return connection.execute(select(func.count()).select_from(found.limit(most).subquery())).scalar_one()

    def claim(
        self, project: int, owner: str, limit: int, lease: float, version: int | None = None
    ) -> builtins.list[Claim]:
        """Lease up to `limit` tasks, or a single one that workers died over; two callers never share one.

        A lease that ran out counts as a death, but of a whole shard it is not known which task it was. So a task with
        `SINGLY` deaths is claimed alone from then on, after all others, the least suspected first: each further death
        is its own.
        """
        now = self._db.now()
        died = and_(to_embed.c.owner.is_not(None), ~to_embed.c.voided)
        deaths = to_embed.c.deaths + case((died, 1), else_=0)
        shown = (to_embed.c.task, to_embed.c.claims, to_embed.c.stale, deaths.label("deaths"))
        values = {"owner": owner, "leased_until": now + lease, "claims": to_embed.c.claims + 1, "voided": False}
        with self._db.write() as connection:
            made = _version(connection, project, version)
            free = or_(to_embed.c.leased_until.is_(None), to_embed.c.leased_until < now)
            found = select(*shown).where(_waits(project, made), free).with_for_update(skip_locked=True)
            rows = connection.execute(found.where(deaths < SINGLY).order_by(to_embed.c.task).limit(limit)).all()
            if not rows:
                alone = found.where(deaths >= SINGLY).order_by(deaths, to_embed.c.task).limit(1)
                rows = connection.execute(alone).all()
            refs: dict[int, tuple[str, ...]] = {}
            for some in chunks([row.task for row in rows]):
                connection.execute(_those(project, made, some).values(deaths=deaths, **values))
                query = select(tasks.c.id, tasks.c.image, tasks.c.pages).where(tasks.c.project == project)
                images = connection.execute(query.where(among(tasks.c.id, some)))
                refs |= {row.id: refs_of(row.image, row.pages) for row in images}
        return [Claim(row.task, refs[row.task], row.claims, row.deaths, row.stale) for row in rows]

    def renew(self, project: int, owner: str, lease: float) -> None:
        """Prolong every lease of `owner`."""
        mine = (to_embed.c.project == project, to_embed.c.owner == owner)
        with self._db.write(project) as connection:
            connection.execute(update(to_embed).where(*mine).values(leased_until=self._db.now() + lease))

    def hold(self, project: int, owner: str, ids: Sequence[int], lease: float, version: int) -> set[int]:
        """Those of `ids` whose results count if they are stored now; their leases begin anew."""
        until = self._db.now() + lease
        held: set[int] = set()
        with self._db.write(project) as connection:
            for some in chunks(sorted(ids)):
                mine = _those(project, version, some).where(to_embed.c.owner == owner, ~to_embed.c.voided)
                held.update(connection.execute(mine.values(leased_until=until).returning(to_embed.c.task)).scalars())
        return held

    def release(self, project: int, owner: str) -> None:
        """Give back what `owner` still holds: nobody died. It may be stored already: its `claims` stay."""
        mine = (to_embed.c.project == project, to_embed.c.owner == owner)
        with self._db.write(project) as connection:
            connection.execute(update(to_embed).where(*mine).values(**_FREE))

    def postpone(self, project: int, ids: Sequence[int], seconds: float, version: int | None = None) -> dict[int, int]:
        """Give back tasks whose images were not handed out, for nobody to claim before `seconds` times 2 each time.

        Returns how many times it has happened to each.
        """
        times: dict[int, int] = {}
        with self._db.write(project) as connection:
            made = _version(connection, project, version)
            for some in chunks(sorted(ids)):
                query = select(to_embed.c.task, to_embed.c.unanswered + 1)
                found = connection.execute(query.where(_waits(project, made), among(to_embed.c.task, some)))
                times.update((task, count) for task, count in found)
            for count in set(times.values()):
                values = {"owner": None, "unanswered": count}
                values["leased_until"] = self._db.now() + seconds * 2 ** (count - 1)
                for some in chunks([task for task in times if times[task] == count]):
                    connection.execute(_those(project, made, some).where(~to_embed.c.voided).values(**values))
            _free_voided(connection, project, made, ids)
        return times

    def finish(
        self,
        project: int,
        embedded: Mapping[int, str],
        failed: Mapping[int, str],
        notes: Mapping[int, str] = MappingProxyType({}),
        *,
        version: int | None = None,
    ) -> None:
        """These tasks wait no longer: embedded id -> digest ("" keeps the known one), failed id -> reason.

        What the version does not lack (any more) is passed over; a task whose image changed meanwhile goes on waiting.
        The tasks' states follow if the version is live; else it keeps the reasons. `notes` are of embedded tasks.
        """
        ids = sorted({*embedded, *failed})
        if not ids:
            return
        with self._db.write(project) as connection:
            live = live_version(connection, project)
            made = live if version is None else version
            due: set[int] = set()
            for some in chunks(ids):
                query = select(to_embed.c.task).where(_waits(project, made), among(to_embed.c.task, some))
                due.update(connection.execute(query.where(~to_embed.c.voided)).scalars())
            good = {task: digest for task, digest in embedded.items() if task in due}
            bad = {task: clean(why) for task, why in failed.items() if task in due}
            if made == live:
                _set_states(connection, project, good, bad, notes)
            else:
                _give_up(connection, project, made, bad)
            for some in chunks(sorted(good) if made != live else sorted(due)):
                gone = (to_embed.c.project == project, to_embed.c.version == made, among(to_embed.c.task, some))
                connection.execute(delete(to_embed).where(*gone))
            _free_voided(connection, project, made, ids)


def _version(connection: Connection, project: int, version: int | None) -> int:
    return live_version(connection, project) if version is None else version


def _waits(project: int, version: int) -> Any:
    return and_(to_embed.c.project == project, to_embed.c.version == version, to_embed.c.reason.is_(None))


def _those(project: int, version: int, ids: Sequence[int]) -> Any:
    return update(to_embed).where(
        to_embed.c.project == project, to_embed.c.version == version, among(to_embed.c.task, ids)
    )


def _free_voided(connection: Connection, project: int, version: int, ids: Sequence[int]) -> None:
    """Whoever had them is through with what they were."""
    for some in chunks(sorted(ids)):
        connection.execute(_those(project, version, some).where(to_embed.c.voided).values(**_FREE))


def _set_states(
    connection: Connection, project: int, good: Mapping[int, str], bad: Mapping[int, str], notes: Mapping[int, str]
) -> None:
    rows = [
        {"the": task, "to": "embedded", "why": clean(notes.get(task, "")), "sum": digest}
        for task, digest in good.items()
    ]
    rows += [{"the": task, "to": "failed", "why": why, "sum": ""} for task, why in bad.items()]
    values = {
        "state": bindparam("to"),
        "reason": bindparam("why"),
        "digest": case((bindparam("sum") == "", tasks.c.digest), else_=bindparam("sum")),
    }
    if rows:
        mine = (tasks.c.project == project, tasks.c.id == bindparam("the"))
        connection.execute(update(tasks).where(*mine).values(values), rows)


def _give_up(connection: Connection, project: int, version: int, bad: Mapping[int, str]) -> None:
    """The version comes without these."""
    if bad:
        mine = (to_embed.c.project == project, to_embed.c.version == version, to_embed.c.task == bindparam("the"))
        rows = [{"the": task, "why": why} for task, why in bad.items()]
        connection.execute(update(to_embed).where(*mine).values(**_FREE, reason=bindparam("why")), rows)

"""The tasks' table: what is to embed, who is at it, what is labeled. Made for a million tasks in a project."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, bindparam, case, delete, false, func, literal_column, or_, select, update

from backend.adapters.state import labels
from backend.adapters.state.engine import Database
from backend.adapters.state.pages import SHOWN, change_rows, columns, images, insert_rows, is_moved, refs_of, task_of
from backend.adapters.state.tables import marks, projects, task_classes, tasks
from backend.adapters.state.values import NOTHING, among, chunks, clean, set_of
from backend.core.domain import Annotation, Claim, Counts, Deleted, Label, Pages, RemoteTask, Task, TaskState
from backend.core.learning.audit import draw

SINGLY = 2
"""Workers that died over a shard after which its rest is claimed one by one."""

_FREE: dict[str, Any] = {"owner": None, "leased_until": None}
ANEW: dict[str, Any] = {
    **_FREE,
    "digest": "",
    "claims": 0,
    "deaths": 0,
    "unanswered": 0,
    # Whoever embeds it now works on what it was: that result must not count.
    "voided": or_(tasks.c.voided, tasks.c.owner.is_not(None)),
}
"""What becomes of the embedding of a task that becomes pending again."""


class SqlTasks:
    """Implements `ports.Tasks`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def upsert(
        self, project: int, items: Sequence[tuple[int, str | None]], pages: Mapping[int, Pages] = MappingProxyType({})
    ) -> int:
        """Add tasks or change their images; returns how many became pending. Cost: three statements a thousand."""
        wanted = {task: columns(image, pages.get(task)) for task, image in items}
        pending = 0
        with self._db.write(project) as connection:
            for some in chunks(sorted(wanted)):
                query = select(tasks.c.id, tasks.c.image, tasks.c.pages)
                query = query.where(tasks.c.project == project, among(tasks.c.id, some))
                known = {row.id: (row.image, row.pages) for row in connection.execute(query)}
                fresh = [task for task in some if task not in known]
                other = [task for task in some if task in known and known[task] != images(wanted[task])]
                moved = [task for task in other if is_moved(known[task], images(wanted[task]))]
                insert_rows(connection, project, {task: wanted[task] for task in fresh})
                change_rows(connection, project, {task: wanted[task] for task in moved}, **ANEW)
                noted = sorted(set(other) - set(moved))
                change_rows(connection, project, {task: {"pages": wanted[task]["pages"]} for task in noted})
                labels.recompute(connection, project, fresh, self._db.now())
                pending += sum(wanted[task]["image"] is not None for task in [*fresh, *moved])
        return pending

    def keep_only(self, project: int, ids: Iterable[int]) -> builtins.list[int]:
        """Drop the tasks that are not among `ids`, with their annotations; returns the dropped ids, ascending."""
        kept = set(ids)
        with self._db.write(project) as connection:
            query = select(tasks.c.id).where(tasks.c.project == project).order_by(tasks.c.id)
            dropped = [task for task in connection.execute(query).scalars() if task not in kept]
            _remove(connection, project, dropped)
        return dropped

    def claim(self, project: int, owner: str, limit: int, lease: float) -> builtins.list[Claim]:
        """Lease up to `limit` pending tasks, or a single one that workers died over; two callers never share one.

        A lease that ran out counts as a death, but of a whole shard it is not known which task it was. So a task with
        `SINGLY` deaths is claimed alone from then on, after all others, the least suspected first: each further death
        is its own.
        """
        now = self._db.now()
        free = or_(tasks.c.leased_until.is_(None), tasks.c.leased_until < now)
        pending = (tasks.c.project == project, tasks.c.state == "pending", tasks.c.image.is_not(None), free)
        deaths = tasks.c.deaths + case((tasks.c.owner.is_not(None), 1), else_=0)
        shown = (tasks.c.id, tasks.c.image, tasks.c.pages, tasks.c.claims)
        found = select(*shown, deaths.label("deaths")).where(*pending)
        company = found.where(deaths < SINGLY).order_by(tasks.c.id).limit(limit)
        alone = found.where(deaths >= SINGLY).order_by(deaths, tasks.c.id).limit(1)
        values = {"owner": owner, "leased_until": now + lease, "claims": tasks.c.claims + 1, "voided": False}
        with self._db.write() as connection:
            rows = connection.execute(company.with_for_update(skip_locked=True)).all()
            rows = rows or connection.execute(alone.with_for_update(skip_locked=True)).all()
            for some in chunks([row.id for row in rows]):
                connection.execute(_those(project, some).values(deaths=deaths, **values))
        return [Claim(row.id, refs_of(row.image, row.pages), row.claims, row.deaths) for row in rows]

    def renew(self, project: int, owner: str, lease: float) -> None:
        """Prolong every lease of `owner`."""
        mine = (tasks.c.project == project, tasks.c.owner == owner)
        with self._db.write(project) as connection:
            connection.execute(update(tasks).where(*mine).values(leased_until=self._db.now() + lease))

    def release(self, project: int, owner: str) -> None:
        """Give back what `owner` still holds: nobody died. It may be stored already: its `claims` stay."""
        mine = (tasks.c.project == project, tasks.c.owner == owner)
        with self._db.write(project) as connection:
            connection.execute(update(tasks).where(*mine).values(**_FREE))

    def postpone(self, project: int, ids: Sequence[int], seconds: float) -> dict[int, int]:
        """Give back tasks whose images were not handed out, for nobody to claim before `seconds` times 2 each time.

        Returns how many times it has happened to each.
        """
        times: dict[int, int] = {}
        with self._db.write(project) as connection:
            for some in chunks(sorted(ids)):
                query = select(tasks.c.id, tasks.c.unanswered + 1).where(tasks.c.project == project)
                for task, count in connection.execute(query.where(among(tasks.c.id, some))):
                    times[task] = count
            for count in set(times.values()):
                values = {"owner": None, "unanswered": count}
                values["leased_until"] = self._db.now() + seconds * 2 ** (count - 1)
                for some in chunks([task for task in times if times[task] == count]):
                    connection.execute(_those(project, some).where(~tasks.c.voided).values(**values))
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
        """Set states: embedded id -> digest ("" keeps the known one), failed id -> reason; ends their leases.

        A task whose image changed meanwhile stays pending; all do if another feature version than `version` is live.
        `notes` are of embedded tasks.
        """
        rows: builtins.list[dict[str, Any]] = [
            {"task": task, "to": "embedded", "why": clean(notes.get(task, "")), "sum": digest}
            for task, digest in embedded.items()
        ]
        rows += [{"task": task, "to": "failed", "why": clean(why), "sum": ""} for task, why in failed.items()]
        if not rows:
            return
        mine = (tasks.c.project == project, tasks.c.id == bindparam("task"), ~tasks.c.voided)
        values = {
            "state": bindparam("to"),
            "reason": bindparam("why"),
            "digest": case((bindparam("sum") == "", tasks.c.digest), else_=bindparam("sum")),
            "claims": 0,
            "deaths": 0,
            "unanswered": 0,
            **_FREE,
        }
        live = select(projects.c.features_version).where(projects.c.id == project)
        with self._db.write(project) as connection:
            if version is not None and connection.execute(live).scalar_one() != version:
                return
            connection.execute(update(tasks).where(*mine).values(values), rows)
            for some in chunks([row["task"] for row in rows]):
                connection.execute(_those(project, some).where(tasks.c.voided).values(voided=False))

    def retry_failed(self, project: int, ids: Sequence[int] | None = None) -> int:
        """Failed tasks that have an image become pending again; returns how many."""
        which = (tasks.c.state == "failed", tasks.c.image.is_not(None))
        every = update(tasks).where(tasks.c.project == project)
        chosen = [every] if ids is None else [_those(project, some) for some in chunks(sorted(ids))]
        values = {**ANEW, "state": "pending", "reason": ""}
        with self._db.write(project) as connection:
            return sum(connection.execute(query.where(*which).values(**values)).rowcount for query in chosen)

    def counts(self, project: int) -> Counts:
        """Tasks by state and class: four queries that read indexes and labeled tasks only."""
        number = func.count()
        by_state = select(tasks.c.state, number).where(tasks.c.project == project).group_by(tasks.c.state)
        is_set = tasks.c.present.is_not(None)
        what = (
            tasks.c.label,
            is_set,
            tasks.c.present == literal_column(f"'{NOTHING}'"),
            tasks.c.skipped,
            tasks.c.annotated,
        )
        told = select(*what, number).where(_ever_labeled(project))
        seen = or_(tasks.c.label.is_not(None), is_set, tasks.c.skipped, tasks.c.annotated)
        done = select(number).where(_ever_labeled(project), tasks.c.state == "embedded", seen)
        names = select(task_classes.c.name, number).where(task_classes.c.project == project)
        with self._db.read() as connection:
            states: dict[str, int] = {row[0]: row[1] for row in connection.execute(by_state)}
            rows = connection.execute(told.group_by(*what)).all()
            served = connection.execute(done).scalar_one()
            of_sets = connection.execute(names.group_by(task_classes.c.name)).all()
        by_class = {label: count for label, *_, count in sorted(rows, key=str) if label is not None}
        one = sum(by_class.values())
        for name, count in sorted(of_sets, key=str):
            by_class[name] = by_class.get(name, 0) + count
        return Counts(
            tasks=sum(states.values()),
            embedded=states.get("embedded", 0),
            pending=states.get("pending", 0),
            failed=states.get("failed", 0),
            labeled=one + sum(count for _, is_set, *_, count in rows if is_set),
            skipped=sum(count for *_, skipped, _, count in rows if skipped),
            annotated=sum(count for *_, annotated, count in rows if annotated),
            labels=by_class,
            open=states.get("embedded", 0) - served,
            empty=sum(count for _, _, empty, *_, count in rows if empty),
        )

    def list(
        self,
        project: int,
        *,
        state: TaskState | None = None,
        ids: Sequence[int] | None = None,
        limit: int = 1000,
    ) -> builtins.list[Task]:
        """Tasks by ascending id, at most `limit`."""
        drawn = func.coalesce(tasks.c.audit, false()).label("audit")
        query = select(*SHOWN, drawn).where(tasks.c.project == project).order_by(tasks.c.id)
        if state is not None:
            query = query.where(tasks.c.state == state)
        found: builtins.list[Task] = []
        queries = (
            [query] if ids is None else [query.where(among(tasks.c.id, some)) for some in chunks(sorted(set(ids)))]
        )
        with self._db.read() as connection:
            for part in queries:
                found += [task_of(row) for row in connection.execute(part.limit(limit - len(found)))]
                if len(found) == limit:
                    break
        return found

    def changed_since(self, project: int, at: float) -> int:
        """How many tasks got, lost or changed their label (or skip, or annotation) after `at`."""
        query = select(func.count()).select_from(tasks).where(tasks.c.project == project, tasks.c.changed_at > at)
        with self._db.read() as connection:
            return connection.execute(query).scalar_one()

    def changed_tasks(self, project: int, at: float) -> set[int]:
        """The tasks that `changed_since` counts."""
        query = select(tasks.c.id).where(tasks.c.project == project, tasks.c.changed_at > at)
        with self._db.read() as connection:
            return set(connection.execute(query).scalars())

    def draw_audit(self, project: int, share: float, seed: int) -> None:
        """Decide for each embedded task that was not decided yet; one that people dealt with is never drawn."""
        undecided = (tasks.c.project == project, tasks.c.state == "embedded", tasks.c.audit.is_(None))
        unlabeled = (tasks.c.label.is_(None), tasks.c.present.is_(None))
        open_ones = (*undecided, *unlabeled, ~tasks.c.skipped, ~tasks.c.annotated)
        query = select(tasks.c.id).where(*open_ones)
        with self._db.write(project) as connection:
            drawn = [task for task in connection.execute(query).scalars() if draw(seed, task) < share]
            for some in chunks(drawn):
                connection.execute(_those(project, some).values(audit=True))
            connection.execute(update(tasks).where(*open_ones).values(audit=False))

    def forget_draw(self, project: int) -> None:
        """All tasks are undecided again, unless one ever had a label or skip: then the draw stands."""
        ever = select(tasks.c.id).where(_ever_labeled(project))
        mine = (tasks.c.project == project, tasks.c.audit.is_not(None))
        with self._db.write(project) as connection:
            if connection.execute(ever.limit(1)).first() is None:
                connection.execute(update(tasks).where(*mine).values(audit=None))

    def audit(self, project: int) -> set[int]:
        """Ids of the tasks drawn for the audit."""
        query = select(tasks.c.id).where(tasks.c.project == project, tasks.c.audit.is_(True))
        with self._db.read() as connection:
            return set(connection.execute(query).scalars())

    def population(self, project: int) -> int:
        """How many tasks were drawn for the audit or passed over."""
        decided = (tasks.c.project == project, tasks.c.audit.is_not(None))
        with self._db.read() as connection:
            return int(connection.execute(select(func.count()).select_from(tasks).where(*decided)).scalar_one())

    def labels(self, project: int) -> tuple[dict[int, Label], set[int]]:
        """(task id -> label of labeled tasks, ids of those annotated or skipped); reads only tasks that ever were."""
        what = (tasks.c.id, tasks.c.label, tasks.c.present, tasks.c.skipped | tasks.c.annotated)
        query = select(*what).where(_ever_labeled(project))
        labeled: dict[int, Label] = {}
        passed: set[int] = set()
        with self._db.read() as connection:
            for task, one, present, is_passed in connection.execution_options(yield_per=10_000).execute(query):
                label = one if present is None else set_of(present)
                if label is not None:
                    labeled[task] = label
                elif is_passed:
                    passed.add(task)
        return labeled, passed

    def labeled_at(self, project: int) -> dict[int, float]:
        """Task id -> time of its newest annotation that still stands."""
        query = select(marks.c.task_id, func.max(marks.c.updated_at)).group_by(marks.c.task_id)
        with self._db.read() as connection:
            found = connection.execute(query.where(marks.c.project == project, ~marks.c.deleted))
            return {task: at for task, at in found if task is not None}

    def apply(self, project: int, items: Sequence[Annotation], deleted: Sequence[Deleted] = ()) -> int:
        """Fold annotation events into the label table; any order, any number of times. Returns changed tasks."""
        gone = {number: item.at for item in deleted if item.kind == "annotations" for number in item.ids}
        dropped = sorted({number for item in deleted if item.kind == "tasks" for number in item.ids})
        with self._db.write(project) as connection:
            touched = labels.write_newer(connection, project, items)
            touched |= labels.write_deleted(connection, project, gone)
            removed = _remove(connection, project, dropped)
            return removed + labels.recompute(connection, project, touched, self._db.now())

    def replace(self, project: int, remote: Sequence[RemoteTask]) -> int:
        """Make the annotations of these tasks exactly what Label Studio shows. Returns changed tasks."""
        with self._db.write(project) as connection:
            touched = labels.write_exactly(connection, project, remote)
            return labels.recompute(connection, project, touched, self._db.now())


def _ever_labeled(project: int) -> Any:
    return (tasks.c.project == project) & tasks.c.changed_at.is_not(None)


def _those(project: int, ids: Sequence[int]) -> Any:
    return update(tasks).where(tasks.c.project == project, among(tasks.c.id, ids))


def _remove(connection: Connection, project: int, ids: Sequence[int]) -> int:
    removed = 0
    for some in chunks(sorted(ids)):
        theirs = (marks.c.project == project, among(marks.c.task_id, some))
        connection.execute(delete(marks).where(*theirs))
        labels.drop_classes(connection, project, some)
        those = (tasks.c.project == project, among(tasks.c.id, some))
        removed += connection.execute(delete(tasks).where(*those)).rowcount
    return removed

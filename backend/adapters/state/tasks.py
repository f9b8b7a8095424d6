"""The tasks' table: which there are, what they show, what is labeled. Made for a million tasks in a project."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, delete, false, func, literal_column, or_, select, update

from backend.adapters.state import labels
from backend.adapters.state.leases import SqlLeases
from backend.adapters.state.pages import SHOWN, change_rows, columns, images, insert_rows, is_moved, task_of
from backend.adapters.state.tables import marks, task_classes, tasks
from backend.adapters.state.to_embed import drop_tasks, want
from backend.adapters.state.values import NOTHING, among, chunks, set_of
from backend.core.domain import Annotation, Counts, Deleted, Label, Pages, RemoteTask, Task, TaskState
from backend.core.learning.audit import draw


class SqlTasks(SqlLeases):
    """Implements `ports.Tasks`."""

    def upsert(
        self, project: int, items: Sequence[tuple[int, str | None]], pages: Mapping[int, Pages] = MappingProxyType({})
    ) -> int:
        """Add tasks or change their images; returns how many became pending. Cost: a few statements a thousand."""
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
                change_rows(connection, project, {task: wanted[task] for task in moved}, digest="")
                want(connection, project, [task for task in fresh if wanted[task]["image"] is not None])
                want(connection, project, [task for task in moved if wanted[task]["image"] is not None], stale=True)
                drop_tasks(connection, project, [task for task in moved if wanted[task]["image"] is None])
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

    def retry_failed(self, project: int, ids: Sequence[int] | None = None) -> int:
        """Failed tasks that have an image become pending again; returns how many."""
        which = select(tasks.c.id).where(
            tasks.c.project == project, tasks.c.state == "failed", tasks.c.image.is_not(None)
        )
        with self._db.write(project) as connection:
            found = sorted(connection.execute(which).scalars())
            chosen = found if ids is None else sorted(set(found).intersection(ids))
            for some in chunks(chosen):
                connection.execute(_those(project, some).values(state="pending", reason="", digest=""))
            want(connection, project, chosen)
        return len(chosen)

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
    drop_tasks(connection, project, ids)
    return removed

"""The versions of a project's features. Version 1 has no row until something is said of it."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from backend.adapters.state.engine import Database
from backend.adapters.state.tables import feature_sets, projects
from backend.adapters.state.values import as_written, clean
from backend.core.errors import BadSetting, UnknownProject, UserError
from backend.core.training import FeatureSet, Method

UNDER_WAY = ("training", "embedding", "judging")
SETTABLE = ("state", "backbone", "checkpoint", "report", "reason")


class SqlFeatureSets:
    """Implements `ports.FeatureSets`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def list(self, project: int) -> builtins.list[FeatureSet]:
        """Oldest first."""
        with self._db.read() as connection:
            return _all(connection, project)

    def get(self, project: int, version: int) -> FeatureSet:
        """Raises `UserError` naming the versions there are."""
        with self._db.read() as connection:
            return _one(connection, project, version)

    def begin(
        self,
        project: int,
        *,
        method: Method,
        base: int,
        labels: int,
        labels_digest: str,
        held_out: Sequence[int],
        at: float,
    ) -> FeatureSet:
        """A new version in state "training". Raises `UserError` while another one is under way."""
        values: dict[str, Any] = {"state": "training", "method": method, "base": base, "labels": labels}
        values |= {"labels_digest": labels_digest, "held_out": list(held_out)}
        with self._db.write(project) as connection:
            busy = [item for item in _all(connection, project) if item.state in UNDER_WAY]
            if busy:
                raise UserError(f"version {busy[0].version} is already {busy[0].state}; wait for it or cancel it first")
            return _insert(connection, project, values, at)

    def begin_plain(self, project: int, backbone: str, at: float) -> FeatureSet:
        """A new live version for another backbone of the settings; the one before is retired."""
        with self._db.write(project) as connection:
            made = _insert(connection, project, {"state": "training", "backbone": backbone}, at)
            _make_live(connection, project, made.version, at)
            return _one(connection, project, made.version)

    def update(self, project: int, version: int, *, at: float, **fields: Any) -> FeatureSet:
        """Set any of: state, backbone, checkpoint, report, reason."""
        unknown = sorted(set(fields) - set(SETTABLE))
        if unknown:
            raise BadSetting(f"a feature set has no field {', '.join(unknown)}; known: {', '.join(SETTABLE)}")
        if "reason" in fields:
            fields["reason"] = clean(fields["reason"])
        with self._db.write(project) as connection:
            _write_first(connection, project)
            _set(connection, project, version, {**fields, "updated_at": at})
            return _one(connection, project, version)

    def note(self, project: int, version: int, *, at: float, **entries: Any) -> FeatureSet:
        """Set these entries of the report and leave its others, in one transaction: jobs of a version may overlap."""
        with self._db.write(project) as connection:
            _write_first(connection, project)
            report = {**_one(connection, project, version).report, **entries}
            _set(connection, project, version, {"report": report, "updated_at": at})
            return _one(connection, project, version)

    def make_live(self, project: int, version: int, at: float) -> None:
        """Switch the project to this version: it becomes live, the one before retired."""
        with self._db.write(project) as connection:
            _write_first(connection, project)
            _make_live(connection, project, version, at)


def _all(connection: Connection, project: int) -> list[FeatureSet]:
    query = select(feature_sets).where(feature_sets.c.project == project).order_by(feature_sets.c.version)
    found = [_feature_set(row) for row in connection.execute(query)]
    return found if any(item.version == 1 for item in found) else [_first(connection, project), *found]


def _one(connection: Connection, project: int, version: int) -> FeatureSet:
    found = _all(connection, project)
    for item in found:
        if item.version == version:
            return item
    known = ", ".join(str(item.version) for item in found)
    raise UserError(f"the project has no feature version {version}; it has: {known}")


def _first(connection: Connection, project: int) -> FeatureSet:
    """What version 1 is while nothing was said of it: live, made by the project's backbone."""
    query = select(projects.c.backbone, projects.c.strategy_changed_at).where(projects.c.id == project)
    row = connection.execute(query).first()
    if row is None:
        raise UnknownProject(project)
    return FeatureSet(project, 1, "live", row[0], "", None, None, 0, "", (), {}, "", row[1], row[1])


def _write_first(connection: Connection, project: int) -> None:
    first = _all(connection, project)[0]
    query = select(feature_sets.c.version).where(feature_sets.c.project == project, feature_sets.c.version == 1)
    if connection.execute(query).first() is None:
        values = {"project": project, "version": 1, "backbone": first.backbone}
        times = {"created_at": first.created_at, "updated_at": first.updated_at}
        connection.execute(insert(feature_sets).values(**{**_empty(), **values, **times}, state="live"))


def _insert(connection: Connection, project: int, values: Mapping[str, Any], at: float) -> FeatureSet:
    _write_first(connection, project)
    version = _all(connection, project)[-1].version + 1
    row = {**_empty(), **values, "project": project, "version": version, "created_at": at, "updated_at": at}
    connection.execute(insert(feature_sets).values(**row))
    return _one(connection, project, version)


def _make_live(connection: Connection, project: int, version: int, at: float) -> None:
    chosen = _one(connection, project, version)
    live = (feature_sets.c.project == project, feature_sets.c.state == "live")
    connection.execute(update(feature_sets).where(*live).values(state="retired", updated_at=at))
    _set(connection, project, version, {"state": "live", "updated_at": at})
    values = {"features_version": version, "backbone": chosen.backbone}
    connection.execute(update(projects).where(projects.c.id == project).values(**values))


def _set(connection: Connection, project: int, version: int, values: Mapping[str, Any]) -> None:
    mine = (feature_sets.c.project == project, feature_sets.c.version == version)
    connection.execute(update(feature_sets).where(*mine).values(**values))


def _empty() -> dict[str, Any]:
    return {
        "backbone": "",
        "checkpoint": "",
        "method": None,
        "base": None,
        "labels": 0,
        "labels_digest": "",
        "held_out": [],
        "report": {},
        "reason": "",
    }


@as_written
def _feature_set(row: Row[Any]) -> FeatureSet:
    fields = dict(row._mapping)
    return FeatureSet(**{**fields, "held_out": tuple(fields["held_out"])})

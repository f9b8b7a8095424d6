"""The versions of a project's features. Version 1 has no row until something is said of it.

States change only by the moves of `core.renewal.states`, each in one transaction under the project's lock.
"""

from __future__ import annotations

import builtins
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection, insert, select, update

from backend.adapters.state.engine import Database
from backend.adapters.state.json_columns import feature_report
from backend.adapters.state.switching import all_pending, begin_filling, fit_to_features
from backend.adapters.state.tables import feature_sets, projects
from backend.adapters.state.to_embed import MADE, drop_others, drop_version, live_version
from backend.adapters.state.values import AnyRow, as_written, clean
from backend.core.domain.training import FeatureReport, FeatureSet, Judgement, Method, Training
from backend.core.errors import UnknownProject, UserError
from backend.core.renewal.states import BEGINS, MOVES, RETIRED, UNDER_WAY, MoveName, after


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
        version: int,
        method: Method,
        base: int,
        labels: int,
        labels_digest: str,
        held_out: Sequence[int],
        at: float,
    ) -> FeatureSet:
        """A new version in state "training". Raises `UserError` while another one is under way."""
        values: dict[str, object] = {"state": BEGINS["begin"], "method": method, "base": base, "labels": labels}
        values |= {"labels_digest": labels_digest, "held_out": list(held_out)}
        with self._db.write(project) as connection:
            busy = [item for item in _all(connection, project) if item.state in UNDER_WAY]
            if busy:
                raise UserError(f"version {busy[0].version} is already {busy[0].state}; wait for it or cancel it first")
            return _insert(connection, project, version, values, at)

    def begin_plain(self, project: int, backbone: str, *, version: int, over: int, at: float) -> FeatureSet | None:
        """A new live version for another backbone; see `ports.FeatureSets.begin_plain`."""
        with self._db.write(project) as connection:
            if live_version(connection, project) != over:
                return None
            values = {"state": BEGINS["replace"], "backbone": backbone}
            under_way = (feature_sets.c.project == project, feature_sets.c.state.in_(MOVES["cancel"].sources))
            cancelled = {"state": MOVES["cancel"].target, "reason": "cancelled: the backbone changed", "updated_at": at}
            connection.execute(update(feature_sets).where(*under_way).values(**cancelled))
            _write_first(connection, project)
            _retire(connection, project, at)
            made = _insert(connection, project, version, values, at)
            _serve(connection, made)
            drop_others(connection, project, made.version)
            all_pending(connection, project, made.version)
            return made

    def anew(self, project: int, version: int) -> bool:
        """Every task becomes pending; see `ports.FeatureSets.anew`."""
        with self._db.write(project) as connection:
            if live_version(connection, project) != version:
                return False
            all_pending(connection, project, version)
            return True

    def move(
        self,
        project: int,
        version: int,
        name: MoveName,
        *,
        at: float,
        over: int | None = None,
        stored: Collection[int] = (),
        report: Training | Judgement | None = None,
        reason: str | None = None,
        checkpoint: str | None = None,
        backbone: str | None = None,
    ) -> FeatureSet | None:
        """Compare and set; see `ports.FeatureSets.move`."""
        with self._db.write(project) as connection:
            found = _one(connection, project, version)
            target = after(found.state, name)
            if target is None or (over is not None and live_version(connection, project) != over):
                return None
            given = {
                "checkpoint": checkpoint,
                "backbone": backbone,
                "reason": None if reason is None else clean(reason),
            }
            values: dict[str, object] = {key: value for key, value in given.items() if value is not None}
            if report is not None:
                values["report"] = {**_stored_report(connection, project, version), **report.to_json()}
            _write_first(connection, project)
            if target == "live":
                _retire(connection, project, at)
            _set(connection, project, version, {**values, "state": target, "updated_at": at})
            moved = _one(connection, project, version)
            if target == "live":
                _serve(connection, moved)
                fit_to_features(connection, project, version, stored)
            elif target == MADE:
                begin_filling(connection, project, version)
            elif target not in UNDER_WAY:
                drop_version(connection, project, version)
            return moved

    def note_rate(self, project: int, version: int, embed_rate: float, *, at: float) -> FeatureSet:
        """Set images/s of one worker; what else the report holds stays: jobs of a version may overlap."""
        with self._db.write(project) as connection:
            _write_first(connection, project)
            report = {**_stored_report(connection, project, version), "embed_rate": embed_rate}
            _set(connection, project, version, {"report": report, "updated_at": at})
            return _one(connection, project, version)


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


def _stored_report(connection: Connection, project: int, version: int) -> dict[str, object]:
    """All that stands in the report, what another version of ours wrote too. {} for version 1 without a row."""
    mine = (feature_sets.c.project == project, feature_sets.c.version == version)
    return dict(connection.execute(select(feature_sets.c.report).where(*mine)).scalar_one_or_none() or {})


def _first(connection: Connection, project: int) -> FeatureSet:
    """What version 1 is while nothing was said of it: live, made by the project's backbone."""
    query = select(projects.c.backbone, projects.c.strategy_changed_at).where(projects.c.id == project)
    row = connection.execute(query).first()
    if row is None:
        raise UnknownProject(project)
    return FeatureSet(project, 1, "live", row[0], "", None, None, 0, "", (), FeatureReport(), "", row[1], row[1])


def _write_first(connection: Connection, project: int) -> None:
    first = _all(connection, project)[0]
    query = select(feature_sets.c.version).where(feature_sets.c.project == project, feature_sets.c.version == 1)
    if connection.execute(query).first() is None:
        values = {"project": project, "version": 1, "backbone": first.backbone}
        times = {"created_at": first.created_at, "updated_at": first.updated_at}
        connection.execute(insert(feature_sets).values(**{**_empty(), **values, **times}, state="live"))


def _insert(connection: Connection, project: int, least: int, values: Mapping[str, object], at: float) -> FeatureSet:
    _write_first(connection, project)
    version = max(_all(connection, project)[-1].version + 1, least)
    row = {**_empty(), **values, "project": project, "version": version, "created_at": at, "updated_at": at}
    connection.execute(insert(feature_sets).values(**row))
    return _one(connection, project, version)


def _retire(connection: Connection, project: int, at: float) -> None:
    live = (feature_sets.c.project == project, feature_sets.c.state.in_(RETIRED.sources))
    connection.execute(update(feature_sets).where(*live).values(state=RETIRED.target, updated_at=at))


def _serve(connection: Connection, chosen: FeatureSet) -> None:
    """The project follows the version that has just become live."""
    values = {"features_version": chosen.version, "backbone": chosen.backbone}
    connection.execute(update(projects).where(projects.c.id == chosen.project).values(**values))


def _set(connection: Connection, project: int, version: int, values: Mapping[str, object]) -> None:
    mine = (feature_sets.c.project == project, feature_sets.c.version == version)
    connection.execute(update(feature_sets).where(*mine).values(**values))


def _empty() -> dict[str, object]:
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
def _feature_set(row: AnyRow) -> FeatureSet:
    fields = dict(row._mapping)
    parts = {"held_out": tuple(fields["held_out"]), "report": feature_report(fields["report"])}
    return FeatureSet(**{**fields, **parts})

"""The projects' table and the secrets' table."""

from __future__ import annotations

import builtins
import secrets as random
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from backend.adapters.state.engine import Database
from backend.adapters.state.tables import projects, secrets
from backend.adapters.state.values import as_written, clean
from backend.core.domain import LabelConfig, Project, Strategy
from backend.core.errors import BadSetting, UnknownProject

SETTABLE = (
    "batch_size",
    "min_interval",
    "head_size",
    "preannotate",
    "features_version",
    "extra_params",
    "synced_at",
    "backbone",
    "audit_share",
    "renewal",
    "calibrate",
    "before_preset",
)


class SqlProjects:
    """Implements `ports.Projects`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, ls_id: int, key: str, *, title: str, label_config: str, config: LabelConfig, at: float) -> Project:
        """Insert, or update title, config and key; see `ports.Projects.add` for a reused Label Studio id."""
        values = {
            "key": clean(key),
            "title": clean(title),
            "label_config": clean(label_config),
            "config": asdict(config),
        }
        with self._db.write() as connection:
            row = connection.execute(select(projects).where(projects.c.ls_id == ls_id).with_for_update()).first()
            if row is not None and _is_another(row.key, key):
                connection.execute(delete(projects).where(projects.c.id == row.id))
                row = None
            if row is None:
                connection.execute(insert(projects).values(ls_id=ls_id, **values, **_defaults(at)))
            else:
                if "." not in key:
                    values["key"] = row.key  # the shorter form says less
                connection.execute(update(projects).where(projects.c.id == row.id).values(**values))
            return _one(connection, ls_id, projects.c.ls_id == ls_id)

    def get(self, project: int) -> Project:
        """Raises `UnknownProject`."""
        with self._db.read() as connection:
            return _one(connection, project, projects.c.id == project)

    def by_ls_id(self, ls_id: int) -> Project:
        """Raises `UnknownProject`."""
        with self._db.read() as connection:
            return _one(connection, ls_id, projects.c.ls_id == ls_id)

    def all(self) -> builtins.list[Project]:
        """Ascending by our id."""
        with self._db.read() as connection:
            return [_project(row) for row in connection.execute(select(projects).order_by(projects.c.id))]

    def remove(self, project: int) -> None:
        """Drop the project with everything that hangs on it."""
        with self._db.write() as connection:
            connection.execute(delete(projects).where(projects.c.id == project))

    def set_strategy(self, project: int, strategy: Strategy, at: float) -> None:
        """Raises `UnknownProject`."""
        values = {"strategy": strategy.name, "params": dict(strategy.params), "strategy_changed_at": at}
        with self._db.write(project) as connection:
            connection.execute(update(projects).where(projects.c.id == project).values(**values))

    def update(self, project: int, **fields: Any) -> None:
        """Raises `UnknownProject`, `BadSetting` for a field that is not to be set."""
        unknown = sorted(set(fields) - set(SETTABLE))
        if unknown:
            raise BadSetting(f"a project has no setting {', '.join(unknown)}; known: {', '.join(SETTABLE)}")
        with self._db.write(project) as connection:
            if fields:
                connection.execute(update(projects).where(projects.c.id == project).values(**fields))

    def secret(self, name: str) -> str:
        """A random secret of 256 bits, made at the first call."""
        query = select(secrets.c.value).where(secrets.c.name == name)
        with self._db.read() as connection:
            known = connection.execute(query).scalar()
        if known is not None:
            return str(known)
        with self._db.write() as connection:
            make = on_conflict_ignore(connection).values(name=name, value=random.token_urlsafe(32))
            connection.execute(make)
            return str(connection.execute(query).scalar_one())


def on_conflict_ignore(connection: Connection) -> Any:
    """INSERT into secrets that leaves an existing row alone, in the connection's dialect."""
    from sqlalchemy.dialects import postgresql, sqlite

    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(secrets).on_conflict_do_nothing()


def _defaults(at: float) -> dict[str, Any]:
    return {
        "strategy": "auto",
        "params": {},
        "batch_size": 10,
        "min_interval": 5.0,
        "head_size": None,
        "preannotate": True,
        "features_version": 1,
        "extra_params": "",
        "synced_at": None,
        "strategy_changed_at": at,
        "backbone": "",
        "before_preset": {},
    }


def _is_another(old: str, new: str) -> bool:
    return "." in old and "." in new and old.split(".", 1)[1] != new.split(".", 1)[1]


def _one(connection: Connection, name: int, condition: Any) -> Project:
    row = connection.execute(select(projects).where(condition)).first()
    if row is None:
        raise UnknownProject(name)
    return _project(row)


@as_written
def _project(row: Row[Any]) -> Project:
    fields = dict(row._mapping)
    config = fields.pop("config")
    strategy = Strategy(fields.pop("strategy"), dict(fields.pop("params")))
    return Project(config=LabelConfig(**{**config, "classes": tuple(config["classes"])}), strategy=strategy, **fields)

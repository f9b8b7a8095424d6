"""The projects' table and the secrets' table."""

from __future__ import annotations

import builtins
import secrets as random
from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import Connection, Row, Table, delete, insert, select, update

from backend.adapters.state.engine import Database
from backend.adapters.state.tables import projects, secrets
from backend.adapters.state.values import as_written, clean
from backend.core.domain import (
    DEFAULTS,
    LARGEST_ID,
    SETTINGS,
    LabelConfig,
    Project,
    ProjectSettings,
    Strategy,
    Target,
    is_another,
)
from backend.core.errors import AnotherProject, BadSetting, UnknownProject

EDITABLE = {
    "strategy",
    "preset",
    "before_preset",
    "strategy_changed_at",
    "extra_params",
    "synced_at",
    "backbone",
    *SETTINGS,
}


class SqlProjects:
    """Implements `ports.Projects`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def add(
        self,
        ls_id: int,
        key: str,
        *,
        title: str,
        label_config: str,
        config: LabelConfig,
        at: float,
        settings: ProjectSettings = DEFAULTS,
    ) -> Project:
        """Insert, or update title, config and key. Raises `AnotherProject`; see `ports.Projects.add`."""
        shown = _shown(key, title, label_config, config)
        row = select(projects.c.id, projects.c.key).where(projects.c.ls_id == ls_id).with_for_update()
        with self._db.write() as connection:
            known = connection.execute(row).first()
            if known is None:
                fresh = {"ls_id": ls_id, **shown, **_fresh(at), **asdict(settings)}
                if connection.execute(or_ignore(connection, projects).values(**fresh)).rowcount:
                    return _one(connection, ls_id, projects.c.ls_id == ls_id)
                known = connection.execute(row).one()  # somebody else added it just now
            if is_another(known.key, key):
                raise AnotherProject(f"project {ls_id} is {known.key} here and {key} in Label Studio; a worker looks")
            if "." not in key:
                shown["key"] = known.key  # the shorter form says less
            connection.execute(update(projects).where(projects.c.id == known.id).values(**shown))
            return _one(connection, ls_id, projects.c.ls_id == ls_id)

    def replace(
        self,
        project: int,
        key: str,
        *,
        title: str,
        label_config: str,
        config: LabelConfig,
        at: float,
        settings: ProjectSettings = DEFAULTS,
    ) -> Project:
        """Drop the project and begin another one under its Label Studio id. Raises `UnknownProject`."""
        fresh = {**_shown(key, title, label_config, config), **_fresh(at), **asdict(settings)}
        with self._db.write() as connection:
            ls_id = connection.execute(
                delete(projects).where(projects.c.id == project).returning(projects.c.ls_id)
            ).scalar()
            if ls_id is None:
                raise UnknownProject(project)
            connection.execute(insert(projects).values(ls_id=ls_id, **fresh))
            return _one(connection, ls_id, projects.c.ls_id == ls_id)

    def get(self, project: int) -> Project:
        """Raises `UnknownProject`."""
        with self._db.read() as connection:
            return _one(connection, project, projects.c.id == project)

    def by_ls_id(self, ls_id: int) -> Project:
        """Raises `UnknownProject`."""
        if not 0 <= ls_id <= LARGEST_ID:  # databases hold no other, and say so in an error of theirs
            raise UnknownProject(ls_id)
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

    def edit(self, project: int, change: Callable[[Project], Project]) -> Project:
        """See `ports.Projects.edit`; raises `UnknownProject`, `BadSetting` for a change of what is not to be set."""
        with self._db.write(project) as connection:
            before = _one(connection, project, projects.c.id == project)
            changed = _changed(before, change(before))
            if changed:
                connection.execute(update(projects).where(projects.c.id == project).values(**changed))
            return _one(connection, project, projects.c.id == project)

    def secret(self, name: str) -> str:
        """A random secret of 256 bits, made at the first call."""
        query = select(secrets.c.value).where(secrets.c.name == name)
        with self._db.read() as connection:
            known = connection.execute(query).scalar()
        if known is not None:
            return str(known)
        with self._db.write() as connection:
            make = or_ignore(connection, secrets).values(name=name, value=random.token_urlsafe(32))
            connection.execute(make)
            return str(connection.execute(query).scalar_one())


def or_ignore(connection: Connection, table: Table) -> Any:
    """INSERT that leaves an existing row alone, in the connection's dialect."""
    from sqlalchemy.dialects import postgresql, sqlite

    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(table).on_conflict_do_nothing()


def _shown(key: str, title: str, label_config: str, config: LabelConfig) -> dict[str, Any]:
    """What Label Studio says of a project."""
    return {
        "key": clean(key),
        "title": clean(title),
        "label_config": clean(label_config),
        "config": asdict(config),
    }


def _fresh(at: float) -> dict[str, Any]:
    """What a new project begins with, beside its settings."""
    return {
        "strategy": "auto",
        "params": {},
        "features_version": 1,
        "extra_params": "",
        "synced_at": None,
        "strategy_changed_at": at,
        "backbone": "",
        "before_preset": {},
    }


def _changed(before: Project, after: Project) -> dict[str, Any]:
    """The columns to write. Raises `BadSetting` for what an edit may not change."""
    names = {item.name for item in fields(Project) if getattr(before, item.name) != getattr(after, item.name)}
    if names - EDITABLE:
        raise BadSetting(f"an edit of a project cannot change {', '.join(sorted(names - EDITABLE))}")
    columns = {name: getattr(after, name) for name in names - {"strategy"}}
    if "strategy" in names:
        columns |= {"strategy": after.strategy.name, "params": dict(after.strategy.params)}
    return columns


def _one(connection: Connection, name: int, condition: Any) -> Project:
    row = connection.execute(select(projects).where(condition)).first()
    if row is None:
        raise UnknownProject(name)
    return _project(row)


@as_written
def _project(row: Row[Any]) -> Project:
    kept = dict(row._mapping)
    config = _config(kept.pop("config"))
    strategy = Strategy(kept.pop("strategy"), dict(kept.pop("params")))
    return Project(config=config, strategy=strategy, **kept)


def _config(raw: dict[str, Any]) -> LabelConfig:
    """As it was stored; one that a program before targets read has reading 0 or 1, and is soon read anew."""
    if "target" not in raw:
        raw = raw | {"target": _older(raw)}
    fields: dict[str, Any] = {name: raw[name] for name in ("image_key", "problem", "asked") if name in raw}
    fields["images"] = tuple(raw.get("images", ()))
    fields |= {name: tuple((tag, why) for tag, why in raw.get(name, ())) for name in ("left_out", "unshown")}
    target = Target(**(raw["target"] | {"classes": tuple(raw["target"]["classes"])}))
    return LabelConfig(**fields, target=target, reading=raw.get("reading", 0))


def _older(raw: dict[str, Any]) -> dict[str, Any]:
    """The target of a config that was stored when only single choices were learnt."""
    nested = bool(raw.get("nested"))
    return {
        "kind": "one" if raw["single_choice"] else "none",
        "family": "choices" if raw["single_choice"] else "",
        "tag": raw["from_name"],
        "about": raw["to_name"],
        "classes": raw["classes"],
        "nested": nested,
        "suggests": bool(raw["single_choice"]) and not nested,
    }

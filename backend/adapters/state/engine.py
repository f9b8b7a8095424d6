"""One database handle for SQLite and PostgreSQL: how to connect, how to begin, what errors are called."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from json import JSONDecodeError
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, select
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.exc import ArgumentError, InterfaceError, NoSuchModuleError, OperationalError

from backend.adapters.state.sqlite_errors import StateDown, StateError, named
from backend.adapters.state.tables import projects
from backend.core.errors import BadSetting, UnknownProject
from backend.core.text.masking import ESCAPE, mask_text, mask_url

BUSY_SECONDS = 10
"""How long a writer waits for another one (SQLite has one at a time)."""


class Database:
    """Short transactions on an engine. `now` is the clock of leases."""

    def __init__(self, engine: Engine, now: Callable[[], float] = time.time) -> None:
        self.engine = engine
        self.now = now
        self._writer = engine.execution_options(write=True)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads."""
        with _json(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self, project: int | None = None) -> Iterator[Connection]:
        """A transaction that writes; with a project, the only such one for it at a time.

        On PostgreSQL that is a lock on the project's row, so that two folds of annotations into one task see each
        other; SQLite has a single writer anyway. Raises `UnknownProject`.
        """
        with _json(), self._writer.begin() as connection:
            if project is not None:
                row = select(projects.c.id).where(projects.c.id == project).with_for_update(key_share=True)
                if connection.execute(row).first() is None:
                    raise UnknownProject(project)
            yield connection


@contextmanager
def _json() -> Iterator[None]:
    """A JSON column that holds no JSON is the database's fault, not a statement's."""
    try:
        yield
    except JSONDecodeError as error:
        raise StateError(
            f"the database holds a JSON column that is no JSON ({error}); restore a backup, or disconnect the project "
            "and connect it again"
        ) from error


def make_engine(database_url: str) -> Engine:
    """An engine for `sqlite:///file` or `postgresql://user@host/name`. Raises `BadSetting`."""
    url = _parse(database_url)
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        try:
            engine = create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": 5})
        except ModuleNotFoundError as error:
            raise BadSetting("PostgreSQL needs a driver; run: pip install 'psycopg[binary]>=3.2'") from error
    event.listen(engine, "handle_error", _name_error)
    return engine


def sqlite_file(engine: Engine) -> Path | None:
    """The file of a SQLite engine, None for PostgreSQL."""
    return Path(str(engine.url.database)) if engine.dialect.name == "sqlite" else None


def _parse(database_url: str) -> URL:
    known = "use sqlite:///folder/state.db or postgresql://user:password@host/name"
    try:
        url = make_url(database_url)
        kind = url.get_backend_name()
    except (ArgumentError, NoSuchModuleError, ValueError):  # which may hold a part of the password
        raise BadSetting(f"DATABASE_URL is no database address; {known}; {ESCAPE}") from None
    if kind in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    if kind != "sqlite":
        raise BadSetting(f"DATABASE_URL names no database that LabelQueue knows ({kind}); {known}")
    _check_file(url, options="?" in database_url)
    return url.set(drivername="sqlite+pysqlite")


def _check_file(url: URL, *, options: bool) -> None:
    """Let a SQLite address name a file and nothing else: what else SQLite can do would lose the state."""
    name = url.database or ""
    if ":memory:" in name or url.query.get("mode") == "memory" or not (name or url.host):
        raise BadSetting(
            "DATABASE_URL names a database in memory, which no other process sees and which is gone at the end; "
            "name a file: sqlite:///folder/state.db"
        )
    if url.host or url.username or options or name.startswith("file:"):
        raise BadSetting(
            "DATABASE_URL must be sqlite:/// and the path of a file, with no host and no options; "
            "in the path write ? as %3F and % as %25; an absolute path makes four slashes: sqlite:////folder/state.db"
        )


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # we begin ourselves: the driver would only do so at the first write
    connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = NORMAL")  # with WAL, a killed process loses nothing


def _begin_sqlite(connection: Connection) -> None:
    # A writer that begins as a reader and is overtaken gets an error at once instead of waiting its turn.
    writes = connection.get_execution_options().get("write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _name_error(context: ExceptionContext) -> None:
    """Give lost connections and busy databases our own name, so that jobs and routes can tell them apart."""
    if context.is_pre_ping:
        return
    error = context.original_exception
    if isinstance(error, sqlite3.Error) and context.engine is not None:
        ours = named(error, Path(str(context.engine.url.database)))
        if ours is not None:
            raise ours from error
    gone = isinstance(context.sqlalchemy_exception, OperationalError | InterfaceError) or context.is_disconnect
    if gone:
        first = mask_text((str(error).strip() or type(error).__name__).splitlines()[0])
        url = context.engine.url if context.engine is not None else None
        where = mask_url(url.render_as_string(hide_password=True)) if url is not None else "the database"
        cure = "see that no other program holds it and that its disk is not full"
        if not isinstance(error, sqlite3.Error):
            cure = "see that it runs and that DATABASE_URL is right"
        raise StateDown(f"{where} does not answer ({first}); {cure}") from error

"""Open the database: connect, bring the schema up to date, bundle the stores."""

from __future__ import annotations

import fcntl
import os
import re
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from backend.adapters.disk import ROOM, lacks_room
from backend.adapters.state.engine import Database, make_engine, sqlite_file
from backend.adapters.state.feature_sets import SqlFeatureSets
from backend.adapters.state.projects import SqlProjects
from backend.adapters.state.rankings import SqlRankings
from backend.adapters.state.sqlite_errors import StateDown, StateError, named
from backend.adapters.state.tables import metadata
from backend.adapters.state.tasks import SqlTasks
from backend.core.errors import BadSetting

VERSION = "alembic_version"
MIGRATION_LOCK = 0x1ABE1  # any number that nothing else in the database uses


@dataclass(frozen=True, slots=True)
class State:
    """The stores of one database; safe to use from many threads and, opened anew, from many processes."""

    projects: SqlProjects
    tasks: SqlTasks
    rankings: SqlRankings
    feature_sets: SqlFeatureSets
    engine: Engine

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()


def open_state(database_url: str, now: Callable[[], float] = time.time) -> State:
    """Connect and migrate to the newest schema; many processes may do so at once.

    `now` is the clock of leases and of `changed_since`. Raises `BadSetting` (the address), `StateDown`,
    `StateError` (the schema is newer than this program).
    """
    engine = make_engine(database_url)
    file = sqlite_file(engine)
    with ExitStack() as on_failure:
        on_failure.callback(engine.dispose)
        if file is not None:
            _make_file(engine, file)
        with Database(engine).write() as connection:
            if file is None:
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
            _migrate(connection)
        on_failure.pop_all()
    database = Database(engine, now)
    return State(SqlProjects(database), SqlTasks(database), SqlRankings(database), SqlFeatureSets(database), engine)


def _make_file(engine: Engine, file: Path) -> None:
    """Make folder and file, for their owner only, in write-ahead mode, which the file then keeps."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _locked(file.with_name(file.name + ".lock")):
            if not file.exists():  # closing one that is in use would drop the locks of this process on it
                open(file, "ab", opener=_private).close()  # SQLite gives its further files the same mode
            raw = engine.raw_connection()
            try:
                raw.cursor().execute("PRAGMA journal_mode = WAL")
            finally:
                raw.close()
    except OSError as error:
        if lacks_room(error, file.parent):
            raise StateDown(f"the disk that holds the database {file} is full ({error.strerror}); {ROOM}") from error
        raise StateError(
            f"the database {file} cannot be made ({error.strerror}); see the rights of its folder, or set "
            "DATABASE_URL to a file elsewhere"
        ) from error
    except sqlite3.Error as error:
        raise named(error, file) or StateError(f"the database {file} cannot be used ({error})") from error


def _private(path: str, flags: int) -> int:
    """How a file for its owner is opened; in a folder that is shared by a group (setgid), for the group as well."""
    shared = os.stat(os.path.dirname(path)).st_mode & stat.S_ISGID
    return os.open(path, flags, 0o660 if shared else 0o600)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    # Two processes that switch the mode at once would not wait for each other but fail.
    with open(path, "w", opener=_private) as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _migrate(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    scripts = ScriptDirectory.from_config(config)
    current = _revision(connection)
    if current == scripts.get_current_head():
        return
    if current is None or not _is_ours(connection, current):
        _refuse_foreign(connection)
    elif current not in {script.revision for script in scripts.walk_revisions()}:
        raise StateError(f"the database has schema {current}, newer than this program; upgrade labelqueue")
    command.upgrade(config, "head")


def _is_ours(connection: Connection, revision: str) -> bool:
    """Whether it is we who wrote `alembic_version`, which many programs have: our revisions are four digits."""
    ours = set(inspect(connection).get_table_names()) & set(metadata.tables)
    return bool(ours) and re.fullmatch(r"\d{4}", revision) is not None


def _refuse_foreign(connection: Connection) -> None:
    """A database without our schema has no table that is called like one of ours; a SQLite file none at all."""
    found = set(inspect(connection).get_table_names())
    kept = {*metadata.tables, VERSION} if _revision(connection) is not None else set(metadata.tables)
    taken = sorted(found if connection.dialect.name == "sqlite" else found & kept)
    if taken:
        file = connection.engine.url.database
        where = f"the file {file}" if connection.dialect.name == "sqlite" else f"the database {file} of DATABASE_URL"
        raise BadSetting(
            f"{where} is another program's database (it has the table {taken[0]}); "
            "move it away, or set DATABASE_URL to a new one"
        )


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()

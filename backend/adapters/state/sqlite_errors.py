"""What SQLite says, as words that name the file, the fact and the way out."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from backend.adapters.disk import ROOM, is_full
from backend.core.errors import LabelQueueError

ANEW = "restore it from a backup, or move it away and run `labelqueue connect` again: tasks and labels come back"
BROKEN = {sqlite3.SQLITE_NOTADB: "is no SQLite database, or is cut off", sqlite3.SQLITE_CORRUPT: "is damaged"}
UNWRITABLE = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)


class StateError(LabelQueueError):
    """The database cannot be used as it is."""


class StateDown(StateError):
    """The database does not answer now, or is busy for too long; trying again later may help."""


def named(error: sqlite3.Error, file: Path) -> StateError | None:
    """Our error for one of SQLite's; None for those of a statement, which are faults of ours."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in BROKEN:
        return StateError(f"the database {file} {BROKEN[code]} ({error}); {ANEW}")
    if code in UNWRITABLE and (code == sqlite3.SQLITE_FULL or is_full(file.parent)):
        return StateDown(f"the disk that holds the database {file} is full ({error}); {ROOM}")
    if code in UNWRITABLE:
        return StateDown(
            f"the database {file} cannot be opened or written ({error}); see the rights of it and its folder"
        )
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StateDown(f"{file} does not answer ({error}); see that no other program holds it")
    return None

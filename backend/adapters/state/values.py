"""Values that any database takes: text from the world, and long lists in pieces."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import ColumnElement, Row, and_, false

from backend.adapters.state.sqlite_errors import StateError

Item = TypeVar("Item")
AnyRow: TypeAlias = "Row[Any]"  # Any: the database knows the types of the columns, we look when we read them

CHUNK = 1000
"""Ids in one statement; SQLite allows some thousand parameters."""

LARGEST_ID = 2**63 - 1
LONGEST_CHOICE = 1000
NOTHING = "[]"  # how the empty set of classes is stored


def as_written(read: Callable[[AnyRow], Item]) -> Callable[[AnyRow], Item]:
    """Make `StateError` of what a row's reader raises if a JSON column has not the shape that we wrote."""

    @wraps(read)
    def reader(row: AnyRow) -> Item:
        try:
            return read(row)
        except (TypeError, ValueError, KeyError, AttributeError, zlib.error) as error:
            what = read.__name__.strip("_").replace("_", " ")
            which = row._mapping.get("ls_id") or row._mapping.get("id") or row._mapping.get("version")
            raise StateError(
                f"the database's row of {what} {which} is not as LabelQueue wrote it ({type(error).__name__}: "
                f"{error}); restore a backup, or disconnect the project and connect it again"
            ) from error

    return reader


def chunks(items: Sequence[Item], size: int = CHUNK) -> Iterator[Sequence[Item]]:
    """Pieces of at most `size` items."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def among(column: ColumnElement[int], ids: Sequence[int]) -> ColumnElement[bool]:
    """`column IN (ids)`, with its bounds.

    PostgreSQL knows nothing of a table that is just being filled, and without the bounds reads all of a project's rows.
    """
    if not ids:
        return false()
    return and_(column >= min(ids), column <= max(ids), column.in_(ids))


def set_text(label: object) -> str | None:
    """A set of classes as it is stored, each name as `clean` leaves it; None for what is no set."""
    if not isinstance(label, frozenset):
        return None
    return json.dumps(sorted({clean(name[:LONGEST_CHOICE]) for name in label}), ensure_ascii=False)


def set_of(stored: str | None) -> frozenset[str] | None:
    """What `set_text` stored."""
    return None if stored is None else frozenset(json.loads(stored))


def clean(text: str) -> str:
    """Text without what PostgreSQL (NUL) or UTF-8 (half of a surrogate pair) cannot hold."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")

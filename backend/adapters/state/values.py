"""Values that any database takes: text from the world, and long lists in pieces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import and_, false

Item = TypeVar("Item")

CHUNK = 1000
"""Ids in one statement; SQLite allows some thousand parameters."""

LARGEST_ID = 2**63 - 1
LONGEST_CHOICE = 1000


def chunks(items: Sequence[Item], size: int = CHUNK) -> Iterator[Sequence[Item]]:
    """Pieces of at most `size` items."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def among(column: Any, ids: Sequence[int]) -> Any:
    """`column IN (ids)`, with its bounds.

    PostgreSQL knows nothing of a table that is just being filled, and without the bounds reads all of a project's rows.
    """
    if not ids:
        return false()
    return and_(column >= min(ids), column <= max(ids), column.in_(ids))


def clean(text: str) -> str:
    """Text without what PostgreSQL (NUL) or UTF-8 (half of a surrogate pair) cannot hold."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")

"""Classes that lie below one another: nested choices and taxonomies. The path down to an option is its class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from backend.core.domain import Option
from backend.core.kinds.said import Name


def path_name(path: Sequence[str]) -> str:
    r"""One name for a path of choices: Animal/Cat. A slash within a choice's own name is written \/, a backslash \\."""
    return "/".join(part.replace("\\", r"\\").replace("/", r"\/") for part in path)


def as_path(name: Name) -> tuple[str, ...]:
    """Given before the options were nested, it is a path of one."""
    return (name,) if isinstance(name, str) else tuple(name)


def all_paths(options: Sequence[Option], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], int]]:
    """(path, options right below it) of each option, in document order."""
    for option in options:
        path = (*above, option.name)
        yield path, len(option.below)
        yield from all_paths(option.below, path)


def with_ancestors(names: Sequence[Name]) -> frozenset[str]:
    """The classes that are present if these are: all on the way down to one is there too."""
    paths = map(as_path, names)
    return frozenset(path_name(path[:depth]) for path in paths for depth in range(1, len(path) + 1))

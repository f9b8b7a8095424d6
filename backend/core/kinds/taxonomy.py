"""Taxonomy: the set of the nodes that were chosen, with all above them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backend.core.domain import Control, Label, Target
from backend.core.kinds.paths import all_paths, path_name, with_ancestors
from backend.core.kinds.register import kind
from backend.core.kinds.said import Name

MOST_NODES = 1000  # a probability of each is held for every task


def offer(control: Control) -> Target | str:
    """All nodes, by their paths."""
    if control.dynamic:
        return "takes its nodes from each task or address, so that the classes are not known"
    paths = {path_name(path): path for path, _ in all_paths(control.options)}
    if not paths:
        return "has no choices"
    if len(paths) > MOST_NODES:
        return f"has {len(paths)} choices, more than {MOST_NODES}"
    whole = not (control.has("perRegion") or control.has("perItem"))
    about = control.images[0]
    return Target("set", "taxonomy", control.name, about, tuple(paths), nested=True, suggests=whole)


def read(_: Target, names: Sequence[Name]) -> Label | None:
    """The paths that were chosen, and all above them."""
    return with_ancestors(names)


def write(_: Target, classes: Sequence[str]) -> tuple[str, Any]:
    """The lowest of the classes, as paths: what is above them follows."""
    lowest = [name for name in classes if not any(other.startswith(f"{name}/") for other in classes)]
    return "taxonomy", [_path(name) for name in lowest]


def _path(name: str) -> list[str]:
    """What `path_name` made the name of."""
    parts, escaped = [""], False
    for letter in name:
        if escaped or letter not in "\\/":
            parts[-1] += letter
            escaped = False
        elif letter == "\\":
            escaped = True
        else:
            parts.append("")
    return parts


kind("taxonomy", ["Taxonomy"], offer=offer, read=read, write=write)

"""Choices: one class an image; where several may be chosen, or there is only one to choose, the set of those chosen."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from backend.core.domain import Control, Label, Target
from backend.core.kinds.paths import all_paths, as_path, path_name, with_ancestors
from backend.core.kinds.regions import per_region
from backend.core.kinds.register import kind
from backend.core.kinds.said import Name


def offer(control: Control) -> Target | str:
    """Classes are what annotations will hold; of nested choices the path.

    Without `allowNested` the editor shows the top level only. With it, ticking a choice ticks all below it; if there is
    just one, either says the same, and the lower one stands for both.
    """
    if control.dynamic:
        return "takes its choices from each task, so that the classes are not known"
    if control.has("perRegion") or control.has("perItem"):
        return per_region(control)
    nested = control.has("allowNested")
    several = control.attributes.get("choice", "single").lower().startswith("multiple")
    top = dict.fromkeys(option.name for option in control.options)
    every = [(path_name(path), below) for path, below in all_paths(control.options)]
    if not top:
        return "has no choices"
    about = control.images[0]
    if several or len(every if nested else top) < 2:
        classes = tuple(dict.fromkeys(name for name, _ in every)) if nested else tuple(top)
        return Target("set", "choices", control.name, about, classes, nested, suggests=not nested)
    single = tuple(dict.fromkeys(name for name, below in every if below != 1)) if nested else tuple(top)
    return Target("one", "choices", control.name, about, single, nested, suggests=not nested)


def read(target: Target, names: Sequence[Name]) -> Label | None:
    """The one class that was chosen, None if there is none or more than one; or the set of those chosen."""
    if target.kind == "set":
        if target.nested:
            return with_ancestors(names)
        flat = [name for name in names if isinstance(name, str)]
        return frozenset(flat) if len(flat) == len(names) else None
    if target.nested:
        return _one_path([as_path(name) for name in names])
    return names[0] if len(names) == 1 and isinstance(names[0], str) else None


def write(_: Target, classes: Sequence[str]) -> tuple[str, Any]:
    """Not of nested ones: Label Studio drops predictions that hold a path, and its editor does not tick a bare name."""
    return "choices", list(classes)


def _one_path(paths: Sequence[tuple[str, ...]]) -> str | None:
    """The lowest choice under which all are, if it was chosen too: ticking one ticks all below it.

    So ["Animal"], ["Animal", "Cat"], ["Animal", "Dog"] is a tick of Animal; with Cat as the only choice below it, Cat.
    """
    lowest = [path for path in paths if not any(other[: len(path)] == path and other != path for other in paths)]
    together = zip(*lowest, strict=False)
    shared = tuple(level[0] for level in takewhile(lambda level: len(set(level)) == 1, together))
    return path_name(shared) if shared in paths else None


kind("choices", ["Choices"], offer=offer, read=read, write=write)

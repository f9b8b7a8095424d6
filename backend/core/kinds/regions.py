"""Boxes, polygons, masks, key points, ellipses: the set of the labels that were drawn; nothing drawn is the empty set.

Where they lie is not learnt: one vector stands for the whole image.
"""

from __future__ import annotations

from collections.abc import Sequence

from backend.core.domain import Control, Label, Target
from backend.core.kinds.register import kind
from backend.core.kinds.said import Name

SHAPES = ("Rectangle", "Polygon", "Brush", "KeyPoint", "Ellipse", "Bitmask", "Vector")
TAGS = (*(f"{shape}Labels" for shape in SHAPES), "Labels")  # Labels beside Rectangle, Polygon...


def offer(control: Control) -> Target | str:
    """The labels; they are not suggested, because a suggestion would have to be drawn."""
    classes = tuple(dict.fromkeys(option.name for option in control.options))
    if control.dynamic:
        return "takes its labels from each task, so that the classes are not known"
    return Target("set", "regions", control.name, control.images[0], classes) if classes else "has no labels"


def per_region(control: Control) -> Target | str:
    """Choices that are asked for each region or page: those that are made anywhere."""
    classes = tuple(dict.fromkeys(option.name for option in control.options))
    return Target("set", "regions", control.name, control.images[0], classes) if classes else "has no choices"


def read(_: Target, names: Sequence[Name]) -> Label | None:
    """Every label of any region."""
    flat = [name for name in names if isinstance(name, str)]
    return frozenset(flat) if len(flat) == len(names) else None


kind("regions", TAGS, offer=offer, read=read)

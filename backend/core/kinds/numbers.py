"""Rating, and Number where it takes few values: each value is a class."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from backend.core.domain import Control, Label, Target
from backend.core.kinds.register import kind
from backend.core.kinds.said import Name, number_text

MOST_VALUES = 20
LIMITS = (("min", ""), ("max", ""), ("step", "1"))  # of a Number, and what stands for one that is not given
STARS = "5"  # of a Rating that names no number of them


def offer(control: Control) -> Target | str:
    """The values from the first to the last."""
    if control.has("perRegion") or control.has("perItem"):
        return "is asked for each region, not for the image"
    given = control.attributes
    try:
        if control.tag == "Rating":
            low, high, step = Decimal(1), Decimal(given.get("maxRating") or STARS), Decimal(1)
        else:
            low, high, step = (Decimal(given.get(name) or usual) for name, usual in LIMITS)
        count = int((high - low) / step) + 1
    except (InvalidOperation, ZeroDivisionError, OverflowError, ValueError):
        return "takes any number: only those with min and max, and few steps between, are learnt as classes"
    if not 2 <= count <= MOST_VALUES:
        return f"takes {max(count, 0)} values: those with 2 to {MOST_VALUES} are learnt as classes"
    classes = tuple(number_text(low + step * place) for place in range(count))
    return Target("one", control.tag.lower(), control.name, control.images[0], classes, suggests=True)


def read(_: Target, names: Sequence[Name]) -> Label | None:
    """The one value that was given."""
    return names[0] if len(names) == 1 and isinstance(names[0], str) else None


def write(target: Target, classes: Sequence[str]) -> tuple[str, Any]:
    """The value, under the tag's name as for all others."""
    value = Decimal(classes[0])
    return target.family, int(value) if value == int(value) else float(value)


kind("rating", ["Rating"], offer=offer, read=read, write=write)
kind("number", ["Number"], offer=offer, read=read, write=write)

"""Hyper-parameters: how far a number may go, said in its type, and checks that raise `BadParameter`.

    reach: Annotated[int, Whole(1, 1000, "a thousand rows for each pick are the whole pool")] = 4

`check(self)` in `__post_init__` refuses what is outside, and `selection.schema` shows the range and its reason. Each
error holds the name, the value and the range.
"""

from __future__ import annotations

import dataclasses
import math
import typing
from dataclasses import dataclass
from typing import Any

from selection.contract import BadParameter

LONGEST = 60  # characters of a value that are repeated in an error


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number from `low` to `high`; `why` nobody needs more than `high`, one sentence without a full stop."""

    low: int
    high: int
    why: str


@dataclass(frozen=True, slots=True)
class Number:
    """A finite number from `low` to `high`; `why` as in `Whole`."""

    low: float
    high: float
    why: str


def ranges(cls: type) -> dict[str, Whole | Number]:
    """The ranges that the fields of a dataclass have in their types, by name."""
    hints = typing.get_type_hints(cls, include_extras=True)
    found: dict[str, Whole | Number] = {}
    for field in dataclasses.fields(cls):
        for said in getattr(hints[field.name], "__metadata__", ()):
            if isinstance(said, Whole | Number):
                found[field.name] = said
    return found


def check(made: Any) -> None:
    """Each field of a dataclass that has a range in its type must be within it."""
    for name, said in ranges(type(made)).items():
        fits = whole if isinstance(said, Whole) else number
        fits(name, getattr(made, name), said.low, said.high)


def whole(name: str, value: Any, low: float, high: float) -> None:
    """`value` must be an integer (not a bool) in [low, high]."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise BadParameter(f"{name} must be a whole number {_span(low, high)}, got {_shown(value)}")


def number(name: str, value: Any, low: float, high: float) -> None:
    """`value` must be a finite int or float in [low, high]."""
    fits = not isinstance(value, bool) and isinstance(value, int | float) and _is_finite(value)
    if not fits or not low <= value <= high:
        raise BadParameter(f"{name} must be a number {_span(low, high)}, got {_shown(value)}")


def one_of(name: str, value: Any, choices: tuple[str, ...]) -> None:
    """`value` must be one of `choices`."""
    if value not in choices:
        raise BadParameter(f"{name} must be one of {', '.join(choices)}, got {_shown(value)}")


def flag(name: str, value: Any) -> None:
    """`value` must be true or false."""
    if not isinstance(value, bool):
        raise BadParameter(f"{name} must be true or false, got {_shown(value)}")


def device(value: Any) -> None:
    """`value` must read like a torch device: "cpu", "cuda" or "cuda:1"."""
    kind, _, at = value.partition(":") if isinstance(value, str) else ("", "", "")
    if kind not in ("cpu", "cuda") or (at and not (at.isascii() and at.isdecimal() and len(at) <= 3)):
        raise BadParameter(f'device must be "cpu", "cuda" or "cuda:N", got {_shown(value)}')


def selector_name(name: str, value: Any) -> None:
    """`value` must be a name for the registry; whether it is known shows when it is used, as plugins load late."""
    if not isinstance(value, str) or not value.isidentifier():
        raise BadParameter(f"{name} must be the name of a selector, got {_shown(value)}")


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond what a float holds
        return False


def _span(low: float, high: float) -> str:
    first, last = (f"{end:,}" if isinstance(end, int) else f"{end:g}" for end in (low, high))
    return f"from {first} to {last}"


def _shown(value: Any) -> str:
    """The value as Python writes it, cut; of integers, of which Python writes none of thousands of digits, the size."""
    if isinstance(value, int) and abs(value) >= 10**LONGEST:
        return f"one of about {int(value.bit_length() * math.log10(2)) + 1:,} digits"
    try:
        text = repr(value)
    except ValueError:  # such an integer within a list
        text = f"a {type(value).__name__}"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."

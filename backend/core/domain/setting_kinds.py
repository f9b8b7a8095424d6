"""Kinds of settings: each brings a given value to its type, and says what it takes to people and to programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import isfinite
from typing import Any, Generic, TypeVar

from backend.core.errors import BadSetting

Value = TypeVar("Value")
Schema = Mapping[str, Any]  # Any: JSON

MOST = 1_000_000_000
LONGEST_TAG = 1000
DEFAULT = (None, "default")  # both leave it to us
WORDS = {"on": True, "off": False}
TEXT: Schema = {"type": "string"}
NULL: Schema = {"type": "null"}


@dataclass(frozen=True, slots=True)
class SettingKind(Generic[Value]):
    """What a setting takes.

    read : brings a value that somebody gave for the setting of this name to its type, or raises `BadSetting`
    stored : the type that a database keeps; longest : most characters of a text, None for any number
    words : what may be given, for people; taken, kept : JSON schemas of what may be given, and of what is kept
    """

    read: Callable[[str, Any], Value]
    stored: type
    words: str
    taken: Schema
    kept: Schema
    longest: int | None = None


def shown(value: object, longest: int = 100) -> str:
    """A value that somebody gave, for an error: its repr, cut."""
    try:
        text = repr(value[: longest + 1] if isinstance(value, str) else value)
    except ValueError:  # a whole number of thousands of digits
        return "a number that is too long"
    return text if len(text) <= longest else f"{text[:longest]}..."


def share(most: float) -> SettingKind[float]:
    """A part of the whole, from 0 to `most`."""

    def read(name: str, value: Any) -> float:
        with suppress(TypeError, ValueError, OverflowError):
            found = float(value)
            if not isinstance(value, bool) and 0 <= found <= most:
                return found
        raise BadSetting(f"{name} must be a share from 0 (switched off) to {most}, got {shown(value)}")

    limits = {"minimum": 0, "maximum": most}
    taken, kept = {"type": ["number", "string"], **limits}, {"type": "number", **limits}
    return SettingKind(read, float, f"a share from 0 to {most}", taken, kept)


def one_of_or_default(choices: tuple[Value, ...]) -> SettingKind[Value | None]:
    """One of these texts, or None for the default."""
    names = [str(choice) for choice in choices]

    def read(name: str, value: Any) -> Value | None:
        if value in DEFAULT:
            return None
        if isinstance(value, str) and value in names:
            return choices[names.index(value)]
        raise BadSetting(f"{name} must be one of {', '.join(names)}, default; got {shown(value)}")

    taken, kept = {"enum": [*choices, *DEFAULT]}, {"enum": [*choices, None]}
    return SettingKind(read, str, f"{', '.join(names)} or default", taken, kept, max(map(len, names)))


def _number(name: str, value: Any, kind: type[int] | type[float]) -> Any:
    with suppress(TypeError, ValueError, OverflowError):
        number = kind(value)
        exact = kind is float or not isinstance(value, float) or number == value
        if (
            not isinstance(value, bool)
            and isfinite(number)
            and exact
            and (number > 0 or (kind is float and not number))
        ):
            if number > MOST:
                raise BadSetting(f"{name} must be at most {MOST:,}, got {shown(value)}")
            return number
    what = "whole number" if kind is int and isinstance(value, float) else "number"
    raise BadSetting(f"{name} must be a positive {what}, got {shown(value)}")


def _count(name: str, value: Any) -> int:
    return int(_number(name, value, int))


def _seconds(name: str, value: Any) -> float:
    return float(_number(name, value, float))


def _count_or_default(name: str, value: Any) -> int | None:
    return None if value in DEFAULT else _count(name, value)


def _switch(name: str, value: Any) -> bool:
    if isinstance(value, str):
        value = WORDS.get(value, value)
    if isinstance(value, bool):
        return value
    raise BadSetting(f"{name} must be true or false, got {shown(value)}")


def _tag(name: str, value: Any) -> str:
    if value in DEFAULT:
        return ""
    if isinstance(value, str) and len(value) <= LONGEST_TAG:
        return value
    raise BadSetting(f"{name} must be the name of a tag in the label config, or default; got {shown(value)}")


_LIMITS = {"minimum": 1, "maximum": MOST}
COUNT = SettingKind(_count, int, "a whole number", {"type": ["integer", "string"], **_LIMITS}, {"type": "integer"})
COUNT_OR_DEFAULT = SettingKind(
    _count_or_default,
    int,
    "a whole number or default",
    {"type": ["integer", "string", "null"], **_LIMITS},
    {"anyOf": [{"type": "integer"}, NULL]},
)
SECONDS = SettingKind(
    _seconds, float, "seconds", {"type": ["number", "string"], "minimum": 0, "maximum": MOST}, {"type": "number"}
)
SWITCH = SettingKind(_switch, bool, "on or off", {"enum": [True, False, *WORDS]}, {"type": "boolean"})
TAG = SettingKind(_tag, str, "the name of a tag or default", {"anyOf": [TEXT, NULL]}, TEXT)

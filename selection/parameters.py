"""Checks of hyper-parameters: each raises `BadParameter` with the name, the value and the range."""

from __future__ import annotations

import math
from typing import Any

from selection.contract import BadParameter


def whole(name: str, value: Any, low: int, high: int | None = None) -> None:
    """`value` must be an integer (not a bool) in [low, high]."""
    if isinstance(value, bool) or not isinstance(value, int) or value < low or (high is not None and value > high):
        raise BadParameter(f"{name} must be a whole number {_span(low, high)}, got {value!r}")


def number(name: str, value: Any, low: float, high: float | None = None) -> None:
    """`value` must be a finite int or float in [low, high]."""
    fits = not isinstance(value, bool) and isinstance(value, int | float) and _is_finite(value)
    if not fits or value < low or (high is not None and value > high):
        raise BadParameter(f"{name} must be a number {_span(low, high)}, got {value!r}")


def one_of(name: str, value: Any, choices: tuple[str, ...]) -> None:
    """`value` must be one of `choices`."""
    if value not in choices:
        raise BadParameter(f"{name} must be one of {', '.join(choices)}, got {value!r}")


def flag(name: str, value: Any) -> None:
    """`value` must be true or false."""
    if not isinstance(value, bool):
        raise BadParameter(f"{name} must be true or false, got {value!r}")


def device(value: Any) -> None:
    """`value` must read like a torch device: "cpu", "cuda" or "cuda:1"."""
    kind, _, at = value.partition(":") if isinstance(value, str) else ("", "", "")
    if kind not in ("cpu", "cuda") or (at and not at.isdecimal()):
        raise BadParameter(f'device must be "cpu", "cuda" or "cuda:N", got {value!r}')


def selector_name(name: str, value: Any) -> None:
    """`value` must be a name for the registry; whether it is known shows when it is used, as plugins load late."""
    if not isinstance(value, str) or not value.isidentifier():
        raise BadParameter(f"{name} must be the name of a selector, got {value!r}")


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond what a float holds
        return False


def _span(low: float, high: float | None) -> str:
    return f"of at least {low}" if high is None else f"from {low} to {high}"

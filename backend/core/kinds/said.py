"""What an annotation says with each control tag, whatever the label config is; kept small whatever was sent."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

LONGEST = 1000  # characters of a class name; longer ones are no class names
MOST, TEXT = 500, 20_000  # names of one region, and their characters in all: nothing larger names classes
TWICE = 2  # equal answers that are kept: two are not one, and a thousand boxes of one class say no more than two

Name = str | tuple[str, ...]
"""A class as Label Studio writes it: its name, or the names on the way down to it."""

Said = tuple[str, tuple[Name, ...] | None]
"""(name of the control tag, what one region names with it); None: more than is read, or no names."""


def said(result: Any) -> list[Said]:
    """What the regions of an annotation's result name: choices, labels, paths, numbers. Anything else is passed over.

    Label Studio puts it under the region's type: `{"type": "choices", "value": {"choices": ["cat"]}}`.
    """
    found: Counter[Said] = Counter()
    regions: Counter[str] = Counter()
    for region in result if isinstance(result, list) else []:
        value = region.get("value") if isinstance(region, Mapping) else None
        sort = region.get("type") if isinstance(region, Mapping) else None
        if not isinstance(value, Mapping) or not isinstance(sort, str):
            continue
        named = value.get(sort, value.get("labels") if sort.endswith("labels") else None)
        if not isinstance(named, list | int | float) or isinstance(named, bool):
            continue
        tag = str(region.get("from_name"))[:LONGEST]
        pair = (tag, _names(named))
        if pair not in found:
            regions[tag] += 1
        if regions[tag] <= MOST:
            found[pair] += 1
        else:
            found[tag, None] = 1
    return [pair for pair, count in found.items() for _ in range(min(count, TWICE))]


def number_text(value: float | Decimal) -> str:
    """A number as the name of its class: 3, 2.5; the same for 3 and 3.0."""
    exact = Decimal(str(value)).normalize()
    return format(exact, "f") if exact else "0"


def _names(named: list[Any] | float) -> tuple[Name, ...] | None:
    if not isinstance(named, list):
        return (number_text(named),) if math.isfinite(named) and abs(named) < 1e9 else None
    names = [_name(raw) for raw in named[: MOST + 1]]
    kept = tuple(name for name in names if name is not None)
    whole = len(kept) == len(names) <= MOST and sum(len("".join(name)) for name in kept) <= TEXT
    return kept if whole else None


def _name(raw: Any) -> Name | None:
    if isinstance(raw, str):
        return raw if len(raw) <= LONGEST else None
    if isinstance(raw, list | tuple) and raw and all(isinstance(part, str) for part in raw):
        return tuple(raw) if sum(map(len, raw)) <= LONGEST else None
    return None

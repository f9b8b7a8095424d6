"""The strategies a person can choose, with what each needs and takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import selection
from backend.core.errors import BadSetting
from backend.core.json_values import JSON


@dataclass(frozen=True, slots=True)
class StrategyCard:
    """A selector for people; `params` holds what `selection.schema` tells of each parameter."""

    name: str
    summary: str
    needs: tuple[str, ...]
    tags: tuple[str, ...]
    params: Mapping[str, Mapping[str, object]]

    def to_json(self) -> dict[str, JSON]:
        return asdict(self)


def catalog(only: str | None = None) -> list[StrategyCard]:
    """All registered strategies by name, or the one; imports no torch. Raises `BadSetting` for an unknown one."""
    known = selection.names()
    if only is not None and only not in known:
        raise BadSetting(f"no strategy named {only[:60]!r}; known: {', '.join(known)}")
    cards = []
    for name in known if only is None else [only]:
        entry = selection.entry(name)
        cards.append(
            StrategyCard(
                name, entry.summary, tuple(sorted(entry.needs)), tuple(sorted(entry.tags)), selection.schema(name)
            )
        )
    return cards

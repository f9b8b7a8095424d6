"""The strategies a person can choose, with what each needs and takes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import selection


@dataclass(frozen=True, slots=True)
class StrategyCard:
    """A selector for people; `params` holds type and default of each parameter."""

    name: str
    summary: str
    needs: tuple[str, ...]
    tags: tuple[str, ...]
    params: dict[str, dict[str, Any]]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def catalog() -> list[StrategyCard]:
    """All registered strategies by name; imports no torch."""
    cards = []
    for name in selection.names():
        entry = selection.entry(name)
        cards.append(
            StrategyCard(
                name, entry.summary, tuple(sorted(entry.needs)), tuple(sorted(entry.tags)), selection.schema(name)
            )
        )
    return cards

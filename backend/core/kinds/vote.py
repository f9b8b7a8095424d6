"""What several annotations of a task come to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from backend.core.domain import Label


class Verdict(NamedTuple):
    """What its annotations say of a task; at most one of the three."""

    label: Label | None
    skipped: bool
    annotated: bool


def verdict(shown: Iterable[Any]) -> Verdict:
    """Majority of the classes; ties to the class with the latest annotation, then the highest id.

    Of sets, the majority class by class: one is present if more than half say so, and at half if the latest does.
    Without a label, annotated if somebody submitted what we do not learn from, and skipped if there are only skips.
    `shown`: anything with id, label, skipped, updated_at.
    """
    items = list(shown)
    told = [item for item in items if not item.skipped]
    told.sort(key=lambda item: (item.updated_at, item.id))
    sets = [item.label for item in told if isinstance(item.label, frozenset)]
    label: Label | None = _present(sets) if sets else _one([item.label for item in told if item.label is not None])
    if label is not None:
        return Verdict(label, skipped=False, annotated=False)
    return Verdict(None, skipped=bool(items) and not told, annotated=bool(told))


def _one(names: list[str]) -> str | None:
    """names : oldest first."""
    votes: dict[str, int] = defaultdict(int)
    latest: dict[str, int] = {}
    for place, name in enumerate(names):
        votes[name] += 1
        latest[name] = place
    return max(votes, key=lambda name: (votes[name], latest[name])) if votes else None


def _present(sets: list[frozenset[str]]) -> frozenset[str]:
    """sets : oldest first."""
    votes: dict[str, int] = defaultdict(int)
    for present in sets:
        for name in present:
            votes[name] += 1
    return frozenset(
        name for name, count in votes.items() if 2 * count > len(sets) or (2 * count == len(sets) and name in sets[-1])
    )

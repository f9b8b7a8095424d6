"""How a feature version may change its state: every move, by name, from the states it starts in to the one it ends in.

The database makes a move in one transaction, and only if the version is in one of the move's first states then: of two
that try at once, one wins. No version ever comes back to a state of `UNDER_WAY`, so a job that was overtaken cannot
mistake a later state for the one that it saw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from backend.core.domain.training import FeatureSet, FeatureSetState

MoveName = Literal["slice", "trained", "fail", "embedded", "reject", "accept", "cancel", "return"]

UNDER_WAY: tuple[FeatureSetState, ...] = ("training", "embedding", "judging")
"""A project has at most one version in these: its renewal."""

ACCEPTED: tuple[FeatureSetState, ...] = ("live", "retired")
"""A version made by a renewal is in these once it was accepted."""

BROKEN_OFF: tuple[FeatureSetState, ...] = ("cancelled", "failed")
"""Ended before it was judged: what it took says little of the next one."""


@dataclass(frozen=True, slots=True)
class Move:
    """From any of `sources` to `target`."""

    sources: tuple[FeatureSetState, ...]
    target: FeatureSetState


MOVES: Mapping[MoveName, Move] = {
    "slice": Move(("training",), "training"),  # an epoch or more is done
    "trained": Move(("training",), "embedding"),
    "fail": Move(("training",), "failed"),
    "embedded": Move(("embedding",), "judging"),
    "reject": Move(("judging",), "rejected"),
    "accept": Move(("judging",), "live"),
    "cancel": Move(UNDER_WAY, "cancelled"),
    "return": Move(("retired", "rejected"), "live"),  # a rollback: both were whole once; no other state says so
}

BEGINS: Mapping[Literal["begin", "replace"], FeatureSetState] = {
    "begin": "training",  # a renewal; only while no other is under way
    "replace": "live",  # another backbone: embedded while it is live; a renewal under way is cancelled
}
"""The states in which a version comes into being."""

RETIRED = Move(("live",), "retired")
"""What happens to the version before, in the same transaction, when another goes live; never by itself."""


def after(state: FeatureSetState, name: MoveName) -> FeatureSetState | None:
    """The state that the move leads to; None if it does not start in this one."""
    move = MOVES[name]
    return move.target if state in move.sources else None


def ongoing(sets: Sequence[FeatureSet]) -> FeatureSet | None:
    """The renewal under way."""
    return next((item for item in sets if item.state in UNDER_WAY), None)

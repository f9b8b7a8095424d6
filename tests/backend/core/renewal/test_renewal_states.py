"""The table of moves, walked through wholly on both databases: all pairs of a state and a move, and who wins."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import Any, get_args

import pytest

from backend.adapters.state import State
from backend.core.domain import Claim, Project
from backend.core.domain.training import FeatureSet, FeatureSetState, Judgement
from backend.core.errors import UserError
from backend.core.renewal.states import BEGINS, MOVES, RETIRED, UNDER_WAY, MoveName, after

JUDGED = Judgement(accuracy_old=0.5, accuracy_new=0.75, gain=0.25, p=0.01, judged=40)
WAYS: dict[FeatureSetState, tuple[MoveName, ...]] = {
    "training": (),
    "embedding": ("trained",),
    "judging": ("trained", "embedded"),
    "rejected": ("trained", "embedded", "reject"),
    "failed": ("fail",),
    "cancelled": ("cancel",),
    "live": ("trained", "embedded", "accept"),
    "retired": ("trained", "embedded", "accept"),  # and then version 1 returns
}
"""How a version that has just begun comes into each state."""


def begin(state: State, project: int) -> FeatureSet:
    return state.feature_sets.begin(
        project, version=2, method="ft", base=1, labels=50, labels_digest="x", held_out=[1, 2], at=2.0
    )


def brought(state: State, project: int, wanted: FeatureSetState) -> FeatureSet:
    """A version in this state; tasks 1 and 2 are embedded, 3 is under way for version 1."""
    state.tasks.upsert(project, [(1, "a"), (2, "b"), (3, "c")])
    state.tasks.finish(project, {1: "d1", 2: "d2"}, {})
    made = begin(state, project)
    for move in WAYS[wanted]:
        assert state.feature_sets.move(project, made.version, move, at=3.0, stored=[1, 2])
    if wanted == "retired":
        assert state.feature_sets.move(project, 1, "return", at=4.0, stored=[1, 2])
    found = state.feature_sets.get(project, made.version)
    assert found.state == wanted
    return found


def invariants(state: State, project: int) -> None:
    """One version is live, and it is the project's; at most one is under way."""
    sets = state.feature_sets.list(project)
    assert [item.version for item in sets if item.state == "live"] == [state.projects.get(project).features_version]
    assert sum(item.state in UNDER_WAY for item in sets) <= 1


def test_the_table_names_every_state_and_renewals_never_come_back() -> None:
    states = set(get_args(FeatureSetState))
    moves = [*MOVES.values(), RETIRED]
    assert set(MOVES) == set(get_args(MoveName)) and set(WAYS) == states
    assert {source for move in moves for source in move.sources} | {move.target for move in moves} == states
    order = {name: place for place, name in enumerate(UNDER_WAY)}
    for move in moves:
        if move.target in UNDER_WAY:
            assert all(order[source] <= order[move.target] for source in move.sources if source in order)
            assert set(move.sources) <= set(UNDER_WAY)
    assert set(BEGINS.values()) == {"training", "live"}
    assert {name for name, move in MOVES.items() if move.target == "live"} == {"accept", "return"}
    assert set(MOVES["return"].sources) == {"retired", "rejected"}  # whole once; nothing else may serve


@pytest.mark.parametrize("wanted", get_args(FeatureSetState))
def test_every_move_from_every_state_is_made_or_changes_nothing(
    state: State, project: Project, wanted: FeatureSetState
) -> None:
    """(10-C4) `update(state=...)` took a version from any state to any other."""
    for number, name in enumerate(get_args(MoveName)):
        ours = state.projects.add(
            100 + number, f"{100 + number}.1", title="", label_config="", config=project.config, at=1.0
        )
        before = brought(state, ours.id, wanted)
        version = before.version
        everything = (state.feature_sets.list(ours.id), state.projects.get(ours.id), state.tasks.list(ours.id))
        told: dict[str, Any] = {"report": JUDGED, "reason": "why", "checkpoint": "c", "backbone": "b"}
        moved = state.feature_sets.move(ours.id, version, name, at=9.0, stored=[1], **told)
        expected = after(wanted, name)
        if expected is None:
            assert moved is None
            assert (
                state.feature_sets.list(ours.id),
                state.projects.get(ours.id),
                state.tasks.list(ours.id),
            ) == everything
        else:
            assert moved == state.feature_sets.get(ours.id, version)
            assert (moved.state, moved.updated_at, moved.reason, moved.checkpoint) == (expected, 9.0, "why", "c")
            assert moved.report == replace(before.report, judgement=JUDGED)
            if expected == "live":
                assert {task.id: task.state for task in state.tasks.list(ours.id)} == {
                    1: "embedded",
                    2: "pending",  # has no features in the version
                    3: "pending",
                }
        invariants(state, ours.id)


@pytest.mark.parametrize("wanted", get_args(FeatureSetState))
def test_a_version_begins_from_every_state_of_the_one_before(
    state: State, project: Project, wanted: FeatureSetState
) -> None:
    """(10-C4) A backbone that changed amid a renewal left it under way, to go live on the other backbone's features."""
    before = brought(state, project.id, wanted)
    live = state.projects.get(project.id).features_version
    if wanted in UNDER_WAY:
        with pytest.raises(UserError, match=f"version 2 is already {wanted}"):
            begin(state, project.id)
    else:
        assert begin(state, project.id).version == 3
    invariants(state, project.id)
    assert state.feature_sets.begin_plain(project.id, "late", version=3, over=live + 7, at=5.0) is None
    made = state.feature_sets.begin_plain(project.id, "other", version=3, over=live, at=5.0)
    assert made is not None and (made.state, made.backbone) == ("live", "other")
    assert state.projects.get(project.id).backbone == "other"
    invariants(state, project.id)
    assert {task.state for task in state.tasks.list(project.id)} == {"pending"}
    now = state.feature_sets.get(project.id, 2)
    if before.state in UNDER_WAY:
        assert (now.state, now.reason) == ("cancelled", "cancelled: the backbone changed")
    else:
        assert now.state == ("retired" if before.state == "live" else before.state)


def test_a_move_made_for_another_live_version_is_not_made(state: State, project: Project) -> None:
    """(10-C4) A version compared with one that is not live any more must not go live by that comparison."""
    brought(state, project.id, "judging")
    assert state.feature_sets.move(project.id, 2, "accept", at=5.0, over=7) is None
    assert state.feature_sets.move(project.id, 2, "accept", at=5.0, over=1) is not None
    with pytest.raises(UserError, match="no feature version 9"):
        state.feature_sets.move(project.id, 9, "cancel", at=5.0)


def together(*calls: Callable[[], object]) -> list[object]:
    """What each returns, all begun at once."""
    start = Barrier(len(calls))

    def run(call: Callable[[], object]) -> object:
        start.wait(30)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


@pytest.mark.parametrize(("one", "other"), [("accept", "cancel"), ("accept", "accept"), ("accept", "reject")])
def test_of_two_moves_at_once_exactly_one_is_made(
    state: State, project: Project, one: MoveName, other: MoveName
) -> None:
    """(10-C4) A renewal cancelled while it went live did both; two judges both switched."""
    for number in range(5):
        ours = state.projects.add(
            100 + number, f"{100 + number}.1", title="", label_config="", config=project.config, at=1.0
        )
        brought(state, ours.id, "judging")
        sets, name = state.feature_sets, ours.id
        made = together(
            lambda sets=sets, name=name: sets.move(name, 2, one, at=5.0, stored=[1, 2]),  # type: ignore[misc]
            lambda sets=sets, name=name: sets.move(name, 2, other, at=5.0, stored=[1, 2]),  # type: ignore[misc]
        )
        [winner] = [item for item in made if item is not None]
        assert isinstance(winner, FeatureSet)
        assert sets.get(name, 2).state == winner.state
        invariants(state, ours.id)


def test_of_workers_that_see_another_backbone_at_once_one_begins_the_version(state: State, project: Project) -> None:
    """(10-C4) Two workers each began a version, and the first one's features were thrown away."""
    sets = state.feature_sets
    made = together(*(lambda: sets.begin_plain(project.id, "other", version=2, over=1, at=5.0) for _ in range(4)))
    assert sum(item is not None for item in made) == 1
    assert [item.state for item in sets.list(project.id)] == ["retired", "live"]


@pytest.mark.parametrize("claimed_first", [True, False])
def test_features_of_the_version_before_never_count_for_the_live_one(
    state: State, project: Project, claimed_first: bool
) -> None:
    """(10-C4) A worker that stored for version 1 marked its tasks embedded after version 2 had gone live."""
    brought(state, project.id, "judging")

    def switch() -> None:
        assert state.feature_sets.move(project.id, 2, "accept", at=5.0, stored=[1, 2])

    if claimed_first:
        assert state.tasks.claim(project.id, "slow", 5, 60) == [Claim(3, ("c",), 0, 0)]
        switch()
        assert state.tasks.claim(project.id, "next", 5, 60) == [
            Claim(3, ("c",), 1, 0)
        ]  # may be stored: the claimant looks
    else:  # it had read the project before, and claims after
        switch()
        assert state.tasks.claim(project.id, "slow", 5, 60) == [Claim(3, ("c",), 1, 0)]
    state.tasks.finish(project.id, {3: "old"}, {}, version=1)
    assert state.tasks.list(project.id, ids=[3])[0].state == "pending"
    state.tasks.finish(project.id, {3: "new"}, {}, version=2)
    assert state.tasks.list(project.id, ids=[3])[0].state == "embedded"

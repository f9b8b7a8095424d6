"""Heads and rankings."""

from __future__ import annotations

import numpy as np
import pytest
from sqlalchemy import update

from backend.adapters.state import StateError, UnknownRanking
from backend.adapters.state.tables import ranking_inputs
from backend.core.domain import Guess, Inputs, LearningReport, Pick, Ranking, Strategy

PICKS = [Pick(5, 0.25, "far from all", Guess("cat", 0.9)), Pick(3, 0.5, "")]


INPUTS = Inputs(
    horizon=100,
    batch=10,
    audit_share=0.05,
    classes=("cat", "dog"),
    task_ids=np.array([3, 4, 2**40, 2**40 + 1]),
    labels=np.array([-1, 1, -2, 0]),
    audit=np.array([True, False, False, True]),
    graph=np.array([True, True, False, True]),
    vectors="0123456789abcdef",
    machine={"numpy": "2.3.0"},
)


def rank(state, project, at: float = 1.0, picks=PICKS) -> Ranking:
    return state.rankings.add(
        project.id,
        strategy=Strategy("margin", {"k": 1}),
        seed=2**40,
        features_version=1,
        labels_digest="abc",
        labeled=4,
        embedded=9,
        head=None,
        picks=picks,
        timings={"rank": 0.5},
        at=at,
        inputs=INPUTS,
    )


def test_a_ranking_comes_back_as_it_was_stored(state, project):
    made = rank(state, project)
    assert made.picks == tuple(PICKS)
    assert state.rankings.get(made.id) == state.rankings.latest(project.id) == made
    assert (made.strategy, made.seed, made.timings) == (Strategy("margin", {"k": 1}), 2**40, {"rank": 0.5})


def test_old_rankings_keep_their_manifest_and_lose_their_picks_except_the_live_one(state, project):
    made = [rank(state, project, float(n)) for n in range(2)]
    token = state.rankings.take_lease(project.id, "a", 30.0)
    live = state.rankings.begin_publication(project.id, made[0].id, 1.0, token=token)
    state.rankings.move_publication(project.id, live.id, "live", token=token, at=2.0)
    made += [rank(state, project, float(n)) for n in range(2, 53)]
    assert state.rankings.get(made[0].id) == made[0]
    assert [state.rankings.get(r.id).picks for r in made[1:3]] == [(), ()]
    assert state.rankings.get(made[3].id) == made[3]
    assert [r.id for r in state.rankings.history(project.id, 3)] == [r.id for r in made[:-4:-1]]


def test_what_a_ranking_was_made_of_comes_back_as_it_was_stored_and_goes_with_its_picks(state, project):
    made = [rank(state, project, float(n)) for n in range(51)]
    found = state.rankings.inputs(made[-1].id)
    for name in ("task_ids", "labels", "audit", "graph"):
        stored, back = getattr(INPUTS, name), getattr(found, name)
        np.testing.assert_array_equal(back, stored)
        assert back.dtype == stored.dtype
    for name in ("horizon", "batch", "audit_share", "classes", "vectors", "machine"):
        assert getattr(found, name) == getattr(INPUTS, name)
    assert state.rankings.inputs(made[0].id) is None and state.rankings.inputs(made[1].id) is not None
    state.projects.remove(project.id)
    assert state.rankings.inputs(made[-1].id) is None


def test_damaged_inputs_are_told_as_such(state, project):
    made = rank(state, project)
    for block in (b"", b"PK\3\4 no archive"):
        with state.engine.begin() as connection:
            connection.execute(update(ranking_inputs).values(rows=block))
        with pytest.raises(StateError, match=r"inputs .* is not as LabelQueue wrote it"):
            state.rankings.inputs(made.id)


def test_all_heads_on_a_version_keep_their_record(state, project):
    made = [
        state.rankings.add_head(project.id, 1 + n // 3, "x", ["cat"], LearningReport(labels=n), 3.0) for n in range(6)
    ]
    assert state.rankings.latest_head(project.id) == made[-1]
    assert state.rankings.heads(project.id, 1) == made[:3]


def test_what_does_not_exist_is_none_or_named(state, project):
    assert state.rankings.latest(project.id) is None
    assert state.rankings.latest_head(project.id) is None
    assert state.rankings.live(project.id) is None
    with pytest.raises(UnknownRanking, match="there is no ranking 9"):
        state.rankings.get(9)

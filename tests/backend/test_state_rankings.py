"""Heads, rankings and publications."""

from __future__ import annotations

import pytest

from backend.adapters.state import UnknownRanking
from backend.core.domain import Guess, Pick, Ranking, Strategy

PICKS = [Pick(5, 0.25, "far from all", Guess("cat", 0.9)), Pick(3, 0.5, "")]


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
    )


def test_a_ranking_comes_back_as_it_was_stored(state, project):
    made = rank(state, project)
    assert made.picks == tuple(PICKS)
    assert state.rankings.get(made.id) == state.rankings.latest(project.id) == made
    assert (made.strategy, made.seed, made.timings) == (Strategy("margin", {"k": 1}), 2**40, {"rank": 0.5})


def test_old_rankings_keep_their_manifest_and_lose_their_picks_except_the_live_one(state, project):
    made = [rank(state, project, float(n)) for n in range(2)]
    live = state.rankings.begin_publication(project.id, made[0].id, 1.0)
    state.rankings.set_publication(live.id, "live", at=2.0)
    made += [rank(state, project, float(n)) for n in range(2, 53)]
    assert state.rankings.get(made[0].id) == made[0]
    assert [state.rankings.get(r.id).picks for r in made[1:3]] == [(), ()]
    assert state.rankings.get(made[3].id) == made[3]
    assert [r.id for r in state.rankings.history(project.id, 3)] == [r.id for r in made[:-4:-1]]


def test_all_heads_on_a_version_keep_their_record(state, project):
    made = [state.rankings.add_head(project.id, 1 + n // 3, "x", ["cat"], {"n": n}, 3.0) for n in range(6)]
    assert state.rankings.latest_head(project.id) == made[-1]
    assert state.rankings.heads(project.id, 1) == made[:3]


def test_what_does_not_exist_is_none_or_named(state, project):
    assert state.rankings.latest(project.id) is None
    assert state.rankings.latest_head(project.id) is None
    assert state.rankings.live(project.id) is None
    with pytest.raises(UnknownRanking, match="there is no ranking 9"):
        state.rankings.get(9)
    with pytest.raises(UnknownRanking, match="there is no ranking 9"):
        state.rankings.begin_publication(project.id, 9, 1.0)
    with pytest.raises(UnknownRanking, match="there is no publication 9"):
        state.rankings.set_publication(9, "failed")


def test_every_attempt_has_a_model_version_of_its_own(state, project):
    ranking = rank(state, project).id
    versions = [state.rankings.begin_publication(project.id, ranking, 1.0).model_version for _ in range(3)]
    assert versions == [f"labelqueue-7-r{ranking}{tail}" for tail in ("", "-2", "-3")]


def test_going_live_retires_the_one_before(state, project):
    ranking = rank(state, project).id
    first, second, third = (state.rankings.begin_publication(project.id, ranking, float(n)) for n in range(3))
    state.rankings.set_publication(first.id, "live", at=5.0)
    state.rankings.set_publication(third.id, "failed", reason="created 3 of 5")
    state.rankings.set_publication(second.id, "live", at=6.0)
    live = state.rankings.live(project.id)
    assert live is not None
    assert (live.id, live.live_at) == (second.id, 6.0)
    assert [(p.state, p.reason) for p in state.rankings.publications(project.id)] == [
        ("failed", "created 3 of 5"),
        ("live", ""),
        ("retired", ""),
    ]
    assert [p.id for p in state.rankings.publications(project.id, ("retired", "failed"))] == [third.id, first.id]


def test_a_new_project_does_not_reuse_the_versions_of_the_one_before(state, project):
    before = state.rankings.begin_publication(project.id, rank(state, project).id, 1.0).model_version
    state.projects.remove(project.id)
    again = state.projects.add(7, "7.1", title="", label_config="", config=project.config, at=2.0)
    assert state.rankings.begin_publication(again.id, rank(state, again).id, 2.0).model_version != before

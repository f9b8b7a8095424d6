"""Publications move only as the table says, and only under the lease whose token is the newest."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import get_args

import pytest

from backend.adapters.state import State, UnknownRanking
from backend.core.domain import PUBLICATION_MOVES, Project, Publication, PublicationState, Strategy
from backend.core.errors import ImpossibleMove, LeaseLost, UnknownProject

STATES: tuple[PublicationState, ...] = get_args(PublicationState)
WAY: dict[str, tuple[PublicationState, ...]] = {  # from "importing" to each state
    "importing": (),
    "live": ("live",),
    "retired": ("live", "retired"),
    "failed": ("failed",),
    "deleted": ("failed", "deleted"),
}


def rank(state: State, project: Project) -> int:
    made = state.rankings.add(
        project.id,
        strategy=Strategy(),
        seed=0,
        features_version=1,
        labels_digest="",
        labeled=0,
        embedded=9,
        head=None,
        picks=[],
        timings={},
        at=1.0,
    )
    return made.id


def take(state: State, project: Project, owner: str = "a") -> int:
    token = state.rankings.take_lease(project.id, owner, 30.0)
    assert token is not None
    return token


def now(state: State, project: Project, publication: int) -> Publication:
    return next(item for item in state.rankings.publications(project.id) if item.id == publication)


@pytest.mark.parametrize(("start", "to"), product(STATES, STATES))
def test_a_publication_moves_as_the_table_says_and_not_otherwise(
    state: State, project: Project, start: PublicationState, to: PublicationState
) -> None:
    """(10-C3) Every pair of states, on both databases."""
    token = take(state, project)
    made = state.rankings.begin_publication(project.id, rank(state, project), 1.0, token=token, imported=[4, 2])
    for step in WAY[start]:
        state.rankings.move_publication(project.id, made.id, step, token=token)
    if to in PUBLICATION_MOVES[start]:
        state.rankings.move_publication(project.id, made.id, to, token=token, reason="so")
        assert (now(state, project, made.id).state, now(state, project, made.id).reason) == (to, "so")
    else:
        with pytest.raises(ImpossibleMove, match=f"is {start}: it cannot become {to}"):
            state.rankings.move_publication(project.id, made.id, to, token=token)
        assert now(state, project, made.id).state == start


def test_the_table_of_moves_ends_where_nothing_comes_back() -> None:
    assert set(PUBLICATION_MOVES) == set(STATES)
    assert not PUBLICATION_MOVES["deleted"]
    assert all("importing" not in after for after in PUBLICATION_MOVES.values())
    assert [before for before, after in PUBLICATION_MOVES.items() if "live" in after] == ["importing"]


def test_every_attempt_has_a_model_version_of_its_own_that_label_studio_lacks(state: State, project: Project) -> None:
    token, ranking = take(state, project), rank(state, project)
    begin = state.rankings.begin_publication
    first = begin(project.id, ranking, 1.0, token=token).model_version
    assert first == f"labelqueue-7-r{ranking}"
    rest = [begin(project.id, ranking, 1.0, token=token, avoid=[f"{first}-2"]).model_version for _ in range(2)]
    assert rest == [f"{first}-3", f"{first}-4"]
    assert begin(project.id, ranking, 1.0, token=token).model_version == f"{first}-2"


def test_going_live_retires_the_one_before_and_fails_it_where_it_is_healed(state: State, project: Project) -> None:
    token, ranking = take(state, project), rank(state, project)
    for number, healed in enumerate(("", "", "all 9 predictions were gone")):
        made = state.rankings.begin_publication(project.id, ranking, 1.0, token=token, imported=[3], healed=healed)
        state.rankings.move_publication(project.id, made.id, "live", token=token, at=5.0 + number)
    newest, damaged, oldest = state.rankings.publications(project.id)
    assert (newest.state, newest.live_at, newest.imported, newest.healed) == (
        "live",
        7.0,
        (3,),
        "all 9 predictions were gone",
    )
    assert (damaged.state, damaged.reason) == ("failed", "all 9 predictions were gone")
    assert (oldest.state, oldest.reason) == ("retired", "")
    assert state.rankings.live(project.id) == state.rankings.last_healing(project.id) == newest
    state.rankings.move_publication(project.id, damaged.id, "deleted", token=token)
    assert now(state, project, damaged.id).imported is None
    versions = {item.model_version for item in (newest, damaged, oldest)}
    assert state.rankings.deleted_versions(project.id, versions | {"another"}) == [damaged.model_version]
    assert state.rankings.deleted_versions(project.id, set()) == []


def test_the_lease_has_one_holder_until_it_ends_or_runs_out(state: State, project: Project, hand) -> None:
    """(10-C3) Its token only grows, whoever takes it."""
    leases = state.rankings
    assert leases.take_lease(project.id, "a", 30.0) == 1
    assert leases.take_lease(project.id, "b", 30.0) is None
    hand.at += 29.0
    leases.renew_lease(project.id, 1, 30.0)
    hand.at += 29.0
    assert leases.take_lease(project.id, "b", 30.0) is None
    leases.end_lease(project.id, 1)
    assert leases.take_lease(project.id, "b", 30.0) == 2
    leases.end_lease(project.id, 1)  # a late goodbye
    assert leases.take_lease(project.id, "c", 30.0) is None
    hand.at += 30.0
    leases.renew_lease(project.id, 2, 30.0)  # ran out, but nobody took it
    assert leases.take_lease(project.id, "c", 30.0) is None
    hand.at += 30.0
    assert leases.take_lease(project.id, "c", 30.0) == 3
    with pytest.raises(LeaseLost, match="c took over"):
        leases.renew_lease(project.id, 2, 30.0)


def test_a_holder_who_was_overtaken_writes_nothing_and_his_attempt_has_failed(
    state: State, project: Project, hand
) -> None:
    """(10-C3) The token is compared in the transaction of each write."""
    old, ranking = take(state, project), rank(state, project)
    made = state.rankings.begin_publication(project.id, ranking, 1.0, token=old)
    hand.at += 31.0
    take(state, project, "b")
    for to in STATES:
        with pytest.raises(LeaseLost, match="b took over"):
            state.rankings.move_publication(project.id, made.id, to, token=old)
    with pytest.raises(LeaseLost):
        state.rankings.begin_publication(project.id, ranking, 1.0, token=old)
    left = now(state, project, made.id)
    assert left.state == "failed" and "stopped before it was live" in left.reason


def test_of_many_who_ask_for_the_lease_at_once_one_gets_it(state: State, project: Project) -> None:
    gate = threading.Barrier(8)

    def ask(number: int) -> int | None:
        gate.wait(60)
        return state.rankings.take_lease(project.id, f"worker {number}", 30.0)

    with ThreadPoolExecutor(8) as pool:
        assert sorted(token is not None for token in pool.map(ask, range(8))) == [False] * 7 + [True]


def test_projects_have_leases_of_their_own_that_go_with_them(state: State, project: Project) -> None:
    other = state.projects.add(8, "8.1", title="", label_config="", config=project.config, at=1.0)
    assert take(state, project) == take(state, other) == 1
    with pytest.raises(UnknownRanking, match="no publication 9"):
        state.rankings.move_publication(project.id, 9, "failed", token=1)
    with pytest.raises(UnknownRanking, match="no ranking 9"):
        state.rankings.begin_publication(project.id, 9, 1.0, token=1)
    state.projects.remove(other.id)
    with pytest.raises(UnknownProject):
        state.rankings.renew_lease(other.id, 1, 30.0)


def test_a_new_project_does_not_reuse_the_versions_of_the_one_before(state: State, project: Project) -> None:
    begin = state.rankings.begin_publication
    before = begin(project.id, rank(state, project), 1.0, token=take(state, project)).model_version
    state.projects.remove(project.id)
    again = state.projects.add(7, "7.1", title="", label_config="", config=project.config, at=2.0)
    assert begin(again.id, rank(state, again), 2.0, token=take(state, again)).model_version != before

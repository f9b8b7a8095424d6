"""Label Studio's word decides who is a project of ours: workers ask it about those who said hello."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from backend.core import jobs
from backend.core.domain import TITLE, LabelConfig, RemoteTask
from backend.core.errors import LabelStudioDown, LabelStudioRefused, StorageError
from backend.core.project.connect import connect, disconnect
from backend.core.project.enroll import PATIENCE, enroll, meet
from backend.core.project.register import register
from backend.core.queue import due
from backend.core.tasks import sync
from tests.backend.world import KEY, LS_ID, World
from tests.fakes import CONFIG, LABEL_CONFIG, FakeFeatures

HERE = "http://127.0.0.1:9090"


@pytest.fixture
def world(tmp_path: Path, migrated_url: str) -> Iterator[World]:
    """Label Studio has a project; on each of our databases."""
    made = World(tmp_path, database_url=migrated_url)
    made.ls.add_project(LS_ID, 6)
    yield made
    made.state.close()


def attach(world: World, url: str = HERE) -> None:
    """What a person's "Connect Model" leaves in Label Studio."""
    world.ls.add_backend(LS_ID, url, "my model", auth=None, extra_params={})


def run(world: World, *names: str) -> None:
    """Do the jobs that were asked for, which must be these."""
    submitted = list(world.jobs.submitted)
    assert tuple(world.asked()) == names
    for job in submitted:
        if job == jobs.meet():
            meet(world.services)
        elif job == jobs.sync(world.project.id).at_once:
            sync.reconcile(world.services, world.project.id, full=True)


def test_connecting_on_label_studios_page_is_followed_by_the_first_sync_with_the_extra_params(world: World) -> None:
    """(10-A1) Label Studio says hello before anything else of ours ran, and saves its backend row only afterwards."""
    extra = '{"strategy": "random", "batch_size": "3"}'
    assert register(world.services, KEY, LABEL_CONFIG, extra) == TITLE
    run(world, "meet")
    assert world.services.projects.all() == []  # there is no row yet, so nobody connected us
    attach(world)
    due.tick(world.services)
    run(world, "meet")
    run(world, "cycle", "sync")  # of the switched strategy, and the first sync
    assert (world.project.key, world.project.strategy.name, world.project.batch_size) == (KEY, "random", 3)
    assert world.services.tasks.counts(world.project.id).tasks == 6
    assert world.jobs.callers() == []
    due.tick(world.services)
    assert "meet" not in world.asked()


def test_repeated_hellos_of_projects_that_label_studio_lacks_cost_one_question_each(world: World) -> None:
    """(10-A1) Nothing is left behind, and Label Studio is not asked again."""
    for key in ("77.1", "78.1", f"{LS_ID}.1", "77.1"):
        register(world.services, key, LABEL_CONFIG)
    attach(world)
    world.ls.calls.clear()
    run(world, "meet")
    assert world.ls.calls == ["project"] * 3
    for key in ("77.1", "78.1", f"{LS_ID}.1"):
        register(world.services, key, LABEL_CONFIG)
    assert world.asked() == [] and world.jobs.callers() == [] and world.services.projects.all() == []


def test_a_hello_does_not_take_over_a_project_that_nobody_connected(world: World) -> None:
    """(10-A1) Whoever knows a project's key could else have its queue rearranged by one request."""
    register(world.services, KEY, LABEL_CONFIG)
    attach(world, "http://other:9090")
    world.addresses.answers["http://other:9090"] = False
    run(world, "meet")
    world.clock.time += PATIENCE + 1
    due.tick(world.services)
    run(world, "meet")
    assert world.services.projects.all() == [] and world.jobs.callers() == []
    register(world.services, KEY, LABEL_CONFIG)
    assert world.asked() == ["meet"]  # not remembered: a person may connect it at any time


def test_a_backend_that_workers_cannot_reach_may_be_us(world: World) -> None:
    register(world.services, KEY, LABEL_CONFIG)
    attach(world, "http://name-that-only-label-studio-knows:9090")
    run(world, "meet")
    assert world.project.key == KEY


@pytest.mark.parametrize("key", [f"{LS_ID}.1", KEY, str(LS_ID)])
def test_extra_params_of_a_hello_act_only_with_the_whole_key(world: World, key: str) -> None:
    """(10-A1) A hostile hello that comes first decides nothing."""
    attach(world)
    register(world.services, key, LABEL_CONFIG, {"strategy": "random"})
    run(world, "meet")
    found = [project.strategy.name for project in world.services.projects.all()]
    assert found == {f"{LS_ID}.1": [], KEY: ["random"], str(LS_ID): ["auto"]}[key]


def test_extra_params_that_do_not_suit_the_label_config_leave_the_project_connected(world: World) -> None:
    world.ls.config = LabelConfig("image", problem="boxes have no single class")
    attach(world)
    register(world.services, KEY, LABEL_CONFIG, {"strategy": "margin"})
    run(world, "meet")
    assert world.project.strategy.name == "auto"


def test_while_label_studio_is_down_or_refuses_the_hello_waits(world: World) -> None:
    attach(world)
    register(world.services, KEY, LABEL_CONFIG)
    world.ls.down = True
    with pytest.raises(LabelStudioDown):
        meet(world.services)
    world.ls.down = False
    world.ls.refuse["project"] = LabelStudioRefused(401, "the token is wrong")
    world.asked()
    with pytest.raises(LabelStudioRefused):
        meet(world.services)
    world.ls.refuse.clear()
    world.asked()
    due.tick(world.services)
    run(world, "meet")
    assert world.project.key == KEY


def test_disconnected_and_connected_again_at_once_is_heard(world: World) -> None:
    attach(world)
    register(world.services, KEY, LABEL_CONFIG)
    run(world, "meet")
    disconnect(world.services, LS_ID)
    assert world.services.projects.all() == []
    world.asked()
    attach(world)
    register(world.services, KEY, LABEL_CONFIG)
    run(world, "meet")
    assert world.project.key == KEY


def reuse(world: World) -> str:
    """Label Studio gives the id to a new project."""
    key = f"{LS_ID}.1800000000"
    world.ls.add_project(LS_ID, key=key, title="Another")
    world.ls.put(LS_ID, [RemoteTask(number, f"/new/{number}.png", (), 10.0) for number in (101, 102)])
    return key


@pytest.mark.parametrize("by", ["reconcile", "connect", "hello"])
def test_a_reused_id_is_replaced_by_whoever_has_asked_label_studio(world: World, by: str) -> None:
    """(10-A1) Its rows and vectors go, its settings begin anew; the features of others stay."""
    attach(world)
    old = enroll(world.services, world.ls.remote[LS_ID], CONFIG)
    sync.reconcile(world.services, old.id, full=True)
    world.embed_all()
    world.set(batch_size=77)
    world.features.stored[99, 1] = {1: 0}
    key = reuse(world)
    if by == "reconcile":
        sync.reconcile(world.services, old.id)
    elif by == "connect":
        connect(world.services, LS_ID)
    else:
        register(world.services, key, LABEL_CONFIG)
        attach(world)
        meet(world.services)
    fresh = world.project
    assert (fresh.key, fresh.title, fresh.batch_size) == (key, "Another", 10) and fresh.id != old.id
    assert set(world.features.stored) == {(99, 1)}
    sync.reconcile(world.services, fresh.id, full=True)
    assert [task.id for task in world.services.tasks.list(fresh.id)] == [101, 102]


def test_two_workers_that_see_a_reused_id_at_once_make_one_project(world: World) -> None:
    old = enroll(world.services, world.ls.remote[LS_ID], CONFIG)
    reuse(world)
    shown = replace(world.ls.remote[LS_ID])
    first = enroll(world.services, shown, CONFIG)
    assert enroll(world.services, shown, CONFIG) == first
    assert [project.id for project in world.services.projects.all()] == [first.id] != [old.id]


def test_after_a_lost_database_nothing_of_another_project_is_ranked_under_the_same_number(tmp_path: Path) -> None:
    features = FakeFeatures()
    for name, ids in (("before", [1, 2, 1000]), ("after", range(1, 31))):
        (tmp_path / name).mkdir()
        world = World(tmp_path / name, features=features)
        world.ls.add_project(LS_ID)
        world.ls.put(LS_ID, [RemoteTask(task, f"/data/upload/{task}.png", (), 10.0) for task in ids])
        enroll(world.services, world.ls.remote[LS_ID], CONFIG)
        sync.reconcile(world.services, world.project.id, full=True)
        world.embed_all()
        world.rank()
    ranking = world.services.rankings.latest(world.project.id)
    assert ranking is not None and {pick.task_id for pick in ranking.picks} == set(range(1, 31))


def test_nothing_is_embedded_until_the_store_could_be_cleared(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise StorageError("the store is away")

    project = enroll(world.services, world.ls.remote[LS_ID], CONFIG)
    with monkeypatch.context() as patched:
        patched.setattr(world.features, "clear", away)
        with pytest.raises(StorageError):
            sync.reconcile(world.services, project.id)
    assert world.services.tasks.counts(project.id).tasks == 0
    sync.reconcile(world.services, project.id)
    assert world.services.tasks.counts(project.id).tasks == 6

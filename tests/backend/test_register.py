"""Saying hello: a project is registered, its extra params are taken over or refused whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.core import strategy, sync
from backend.core.domain import RemoteTask, Strategy
from backend.core.errors import BadSetting, StorageError
from backend.core.register import TITLE, register
from tests.backend.world import KEY, LS_ID, World
from tests.fakes import LABEL_CONFIG, FakeFeatures


def test_setup_registers_the_project_and_asks_for_a_sync_once(world: World) -> None:
    assert register(world.services, KEY, LABEL_CONFIG) == TITLE
    register(world.services, KEY, LABEL_CONFIG)
    assert world.asked() == ["sync"]
    assert world.project.strategy == Strategy("auto", {})


@pytest.mark.parametrize(
    "extra",
    [
        {"strategy": "random", "batch_size": 3},
        '{"strategy": "random", "batch_size": 3}',
        '{"batch_size":3,"strategy":"random"} ',
    ],
)
def test_extra_params_switch_the_strategy_as_text_or_object(world: World, extra: object) -> None:
    register(world.services, KEY, LABEL_CONFIG, extra)
    assert (world.project.strategy.name, world.project.batch_size) == ("random", 3)


def test_seeing_the_same_extra_params_again_does_not_undo_a_switch_made_elsewhere(world: World) -> None:
    register(world.services, KEY, LABEL_CONFIG, '{"strategy": "random"}')
    strategy.switch(world.services, world.project.id, "coreset")
    register(world.services, KEY, LABEL_CONFIG, '{"strategy": "random"}')
    assert world.project.strategy.name == "coreset"
    register(world.services, KEY, LABEL_CONFIG, '{"strategy": "typiclust"}')
    assert world.project.strategy.name == "typiclust"


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ("{strategy: x}", "no JSON"),
        ('{"strategy": "margn"}', "known: "),
        ('{"strategy": "random", "params": {"sed": 1}}', "no parameter sed"),
        ('{"stratgy": "random"}', "unknown stratgy"),
        ("[1]", "JSON object"),
        ('{"batch_size": 0}', "batch_size must be a positive number"),
        ('{"batch_size": true}', "batch_size must be a positive number"),
        ('{"preannotate": 1}', "true or false"),
    ],
)
def test_wrong_extra_params_say_what_is_wrong_and_change_nothing(world: World, extra: str, told: str) -> None:
    register(world.services, KEY, LABEL_CONFIG)
    with pytest.raises(BadSetting, match=told):
        register(world.services, KEY, LABEL_CONFIG, extra)
    assert (world.project.strategy.name, world.project.batch_size) == ("auto", 10)


def test_a_project_refused_for_its_extra_params_is_not_connected(world: World) -> None:
    with pytest.raises(BadSetting):
        register(world.services, KEY, LABEL_CONFIG, '{"strategy": "margn"}')
    assert world.services.projects.all() == []


@pytest.mark.parametrize("key", ["", "x.1", "-3", "../etc"])
def test_a_malformed_project_key_is_refused(world: World, key: str) -> None:
    with pytest.raises(BadSetting, match="form <id>"):
        register(world.services, key, LABEL_CONFIG)


def test_after_a_lost_database_nothing_of_another_project_is_ranked_under_the_same_number(tmp_path: Path) -> None:
    features = FakeFeatures()
    for name, ids in (("before", [1, 2, 1000]), ("after", range(1, 31))):
        (tmp_path / name).mkdir()
        world = World(tmp_path / name, features=features)
        world.ls.add_project(LS_ID)
        world.ls.put(LS_ID, [RemoteTask(task, f"/data/upload/{task}.png", (), 10.0) for task in ids])
        register(world.services, KEY, LABEL_CONFIG)
        sync.reconcile(world.services, world.project.id, full=True)
        world.embed_all()
        world.rank()
    ranking = world.services.rankings.latest(world.project.id)
    assert ranking is not None and {pick.task_id for pick in ranking.picks} == set(range(1, 31))


def test_a_store_that_is_away_leaves_no_half_connected_project(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise StorageError("the store is away")

    with monkeypatch.context() as patched:
        patched.setattr(world.features, "clear", away)
        with pytest.raises(StorageError):
            register(world.services, KEY, LABEL_CONFIG)
    assert world.services.projects.all() == []
    assert register(world.services, KEY, LABEL_CONFIG) == TITLE

"""A fine-tuning depends on the labels it began with, and on no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.core.domain.training import FeatureSet, TrainingOrder
from backend.core.errors import TrainingFailed
from backend.core.renewal import renew, rules
from backend.core.renewal.train import make_order, train
from tests.backend.world import NAMES, World

LABELED = range(1, 31)


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.connect(60)
    made.embed_all()
    made.label(*LABELED)
    return made


def begun(world: World) -> FeatureSet:
    version = renew.start(world.services, world.project.id)
    world.clock.time += 10
    return version


def tasks(order: TrainingOrder) -> set[int]:
    return {example.task_id for example in (*order.train, *order.held_out)}


def test_the_order_is_made_of_the_labels_there_were(world: World) -> None:
    version = begun(world)
    order = make_order(world.services, version)
    audited = world.services.tasks.audit(world.project.id)
    judging = set(version.held_out) - set(rules.stopping_half(version.held_out))
    assert judging
    assert tasks(order) == set(LABELED) - audited - judging
    assert not {example.task_id for example in order.train} & {example.task_id for example in order.held_out}
    assert all(order.classes[example.label] == NAMES[example.task_id % 3] for example in order.train)


@pytest.mark.parametrize("calibrate", [False, True])
def test_garbage_labels_that_come_later_change_nothing(world: World, calibrate: bool) -> None:
    world.set(calibrate=calibrate)
    version = begun(world)
    before = make_order(world.services, version)
    for task in range(31, 61):
        world.annotate(task, NAMES[(task + 1) % 3])
    world.label()
    assert make_order(world.services, version) == before


@pytest.mark.parametrize("calibrate", [False, True])
def test_garbage_labels_of_audit_tasks_change_nothing(tmp_path: Path, calibrate: bool) -> None:
    orders = []
    for name, shift in (("true", 0), ("garbage", 1)):
        (tmp_path / name).mkdir()
        world = World(tmp_path / name)
        world.connect(60)
        world.set(calibrate=calibrate, audit_share=0.3)
        world.embed_all()
        world.rank()
        audited = world.services.tasks.audit(world.project.id)
        for task in LABELED:
            world.annotate(task, NAMES[(task + (shift if task in audited else 0)) % 3])
        world.label()
        assert audited & set(LABELED)
        orders.append(make_order(world.services, begun(world)))
        assert not tasks(orders[-1]) & audited
    assert orders[0] == orders[1]


def test_a_label_that_is_changed_later_is_left_out(world: World) -> None:
    version = begun(world)
    before = make_order(world.services, version)
    gone = before.train[0].task_id
    world.annotate(gone, NAMES[(gone + 1) % 3])
    world.annotate(gone, NAMES[(gone + 1) % 3])
    world.label()
    assert tasks(make_order(world.services, version)) == tasks(before) - {gone}


def test_a_training_that_cannot_go_on_marks_its_version_failed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    version = begun(world)

    def fail(*_: object, **__: object) -> None:
        raise TrainingFailed("none of the 24 training images can be read")

    monkeypatch.setattr(world.trainer, "slice", fail)
    assert train(world.services, world.project.id, version.version) is None
    after = world.services.feature_sets.get(world.project.id, version.version)
    assert (after.state, after.reason) == ("failed", "none of the 24 training images can be read")
    assert world.trainer.dropped == [f"p{world.project.id}-v{version.version}"]
    assert world.project.features_version == version.base

"""What is due is seen from the state alone: labels, changes, imports, deletions."""

from __future__ import annotations

from dataclasses import replace

from backend.core import due, sync
from backend.core.domain import RemoteTask
from backend.core.enroll import enroll
from backend.core.ourselves import SECRET_HEADER
from tests.backend.world import LS_ID, World
from tests.fakes import CONFIG


def test_a_learning_round_is_due_after_batch_size_labels_and_not_before(world: World) -> None:
    project = world.connect(60)
    world.embed_all()
    world.rank()
    world.asked()
    world.label(*range(1, 10))
    assert "cycle" not in world.asked()
    world.label(10)
    assert "cycle" in world.asked()
    assert world.project.id == project.id


def test_deleted_and_changed_annotations_count_as_changes(world: World) -> None:
    project = world.connect(60)
    world.embed_all()
    world.label(*range(1, 11))
    world.rank()
    world.asked()
    for task in range(1, 11):
        old = world.ls.items[LS_ID][task]
        world.ls.put(LS_ID, [replace(old, annotations=(), updated_at=world.clock.time)])
    sync.reconcile(world.services, project.id)
    assert "cycle" in world.asked()
    assert world.services.tasks.counts(project.id).labeled == 0


def test_rounds_keep_their_minimum_interval(world: World) -> None:
    project = world.connect(60)
    world.services.projects.update(project.id, min_interval=1000.0)
    world.embed_all()
    world.rank()
    world.asked()
    world.label(*range(1, 21))
    assert "cycle" not in world.asked()
    world.clock.time += 1000.0
    due.nudge(world.services, world.project)
    assert "cycle" in world.asked()


def test_the_tick_finds_what_no_event_told(world: World) -> None:
    world.connect(30)
    world.asked()
    due.tick(world.services)
    assert set(world.asked()) >= {"reconcile", "embed"}


def test_tasks_imported_later_are_embedded_and_ranked(world: World) -> None:
    project = world.connect(30)
    world.embed_all()
    world.rank()
    world.ls.put(LS_ID, [RemoteTask(100 + n, f"/data/new{n}.png", (), 50.0) for n in range(5)])
    sync.reconcile(world.services, project.id)
    world.embed_all()
    world.asked()
    due.nudge(world.services, world.project)
    assert "cycle" in world.asked()
    assert {100, 101, 102, 103, 104} < set(world.rank())


def test_tasks_deleted_in_label_studio_leave_the_pool(world: World) -> None:
    project = world.connect(30)
    world.embed_all()
    world.ls.drop(LS_ID, [3, 4])
    sync.reconcile(world.services, project.id)
    assert not {3, 4} & set(world.rank())
    assert world.services.tasks.counts(project.id).tasks == 28


def test_a_changed_image_is_embedded_again(world: World) -> None:
    project = world.connect(10)
    world.embed_all()
    world.ls.put(LS_ID, [RemoteTask(4, "/data/other.png", (), 99.0)])
    sync.reconcile(world.services, project.id)
    world.embed_all()
    assert world.features.appended.count(4) == 2


def test_the_webhook_gets_our_secret_and_only_ours(world: World) -> None:
    world.ls.add_project(LS_ID, 3)
    world.ls.add_webhook(LS_ID, "http://elsewhere/webhook", {})
    world.ls.add_webhook(LS_ID, "http://127.0.0.1:9090/webhook", {})
    enroll(world.services, world.ls.remote[LS_ID], CONFIG)
    sync.reconcile(world.services, world.project.id, full=True)
    other, ours = world.ls.webhooks(LS_ID)
    assert other.headers == {}
    assert ours.headers == {SECRET_HEADER: world.services.projects.secret("webhook")}

"""What is due is seen from the state alone: labels, changes, imports, deletions."""

from __future__ import annotations

from dataclasses import replace

from backend.core.domain import Deleted, RemoteTask
from backend.core.project.enroll import enroll
from backend.core.project.ourselves import SECRET_HEADER
from backend.core.project.status import status
from backend.core.queue import due
from backend.core.tasks import sync
from tests.backend.world import LS_ID, NAMES, World
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
    world.connect(60)
    world.set(min_interval=1000.0)
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


def preannotated(world: World, labeled: int, tasks: int, *, broken: bool) -> None:
    """Tasks of which the first `labeled` came with a label; their images cannot be read if `broken`."""
    world.ls.add_project(LS_ID, tasks)
    for task in range(1, labeled + 1):
        if broken:
            world.ls.put(LS_ID, [RemoteTask(task, f"/data/broken{task}.png", (), 10.0)])
        world.annotate(task, NAMES[task % 3])
    enroll(world.services, world.ls.remote[LS_ID], CONFIG)
    sync.reconcile(world.services, world.project.id, full=True)
    world.asked()


def test_labels_of_images_that_cannot_be_read_do_not_stand_for_tasks_that_were_served(world: World) -> None:
    """(10-C2) Two broken images with labels, two good ones without: the good ones were never ranked."""
    preannotated(world, labeled=2, tasks=4, broken=True)
    world.embed_all()
    counts = world.services.tasks.counts(world.project.id)
    assert (counts.failed, counts.labeled, counts.open) == (2, 2, 2)
    due.nudge(world.services, world.project)
    assert "cycle" in world.asked()
    assert sorted(world.rank()) == [3, 4]
    assert status(world.services, world.project).open == 2


def test_with_labels_of_broken_images_the_head_is_refilled_all_the_same(world: World) -> None:
    """(10-C2) The labels of failed tasks were taken off what is left, so that refilling stopped too early."""
    preannotated(world, labeled=20, tasks=60, broken=True)
    world.set(head_size=10, batch_size=50, audit_share=0.0)
    world.embed_all()
    served = world.rank()
    world.asked()
    world.label(*served[:9])
    assert "cycle" in world.asked()
    counts = world.services.tasks.counts(world.project.id)
    assert learning_due(world) == "the queue runs low"
    assert counts.open == 31


def test_labels_of_tasks_that_are_still_to_embed_do_not_end_the_ranking(world: World) -> None:
    """(10-C2) The same for pending tasks: while there is anything to choose from, it is ranked."""
    preannotated(world, labeled=16, tasks=24, broken=False)
    world.services.tasks.finish(world.project.id, dict.fromkeys(range(17, 25), "x"), {})
    counts = world.services.tasks.counts(world.project.id)
    assert (counts.pending, counts.labeled, counts.open) == (16, 16, 8)
    world.services.tasks.finish(world.project.id, {}, dict.fromkeys(range(1, 17), "broken"))
    assert learning_due(world) == "first ranking"


def test_embedded_tasks_that_all_have_labels_are_no_first_ranking(world: World) -> None:
    """(10-C2) And nothing is asked for where nothing is open, however many tasks wait or failed."""
    preannotated(world, labeled=8, tasks=24, broken=False)
    world.services.tasks.finish(world.project.id, dict.fromkeys(range(1, 9), "x"), {})
    assert world.services.tasks.counts(world.project.id).open == 0
    assert learning_due(world) is None
    world.services.tasks.finish(world.project.id, {}, dict.fromkeys(range(9, 25), "broken"))
    assert learning_due(world) is None


def test_a_head_whose_tasks_were_deleted_is_filled_up(world: World) -> None:
    """(10-C1) No label changed, so nothing was due: Label Studio served at random."""
    project = world.connect(60)
    world.set(head_size=10, audit_share=0.0)
    world.embed_all()
    head = world.rank()
    world.ls.drop(LS_ID, head[:9])
    sync.reconcile(world.services, project.id)
    assert learning_due(world) == "the queue runs low"
    order = world.rank()
    assert len(order) == 10 and not set(order) & set(head[:9])
    assert learning_due(world) is None


def test_features_stored_after_their_task_was_deleted_are_not_ranked(world: World) -> None:
    """(10-C1) A worker amid embedding stores them after the deletion; they took places of the head for ever."""
    project = world.connect(30)
    world.embed_all()
    world.ls.drop(LS_ID, [3, 4])
    world.services.tasks.apply(
        project.id, [], [Deleted("tasks", (3, 4), 20.0)]
    )  # as an event does; the features are still stored
    world.rank()
    ranking = world.services.rankings.latest(project.id)
    assert ranking is not None and {pick.task_id for pick in ranking.picks} == set(range(1, 31)) - {3, 4}
    assert len(world.served()) == 28


def learning_due(world: World) -> str | None:
    world.clock.time += 10.0
    project = world.project
    latest = world.services.rankings.latest(project.id)
    return due.learning_due(world.services, project, world.services.tasks.counts(project.id), latest)

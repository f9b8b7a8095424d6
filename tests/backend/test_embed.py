"""Embedding over fakes: every task once, whoever dies on the way."""

from __future__ import annotations

import pytest

from backend.core import embed, sync
from backend.core.domain import RemoteTask
from backend.core.enroll import enroll
from tests.backend.world import LS_ID, World
from tests.fakes import CONFIG


def test_all_tasks_are_embedded_and_a_broken_image_is_listed_with_its_reason(world: World) -> None:
    world.ls.add_project(LS_ID, 20)
    world.ls.put(LS_ID, [RemoteTask(7, "broken.png", (), 10.0), RemoteTask(9, None, (), 10.0)])
    enroll(world.services, world.ls.remote[LS_ID], CONFIG)
    sync.reconcile(world.services, world.project.id, full=True)
    world.embed_all()
    counts = world.services.tasks.counts(world.project.id)
    assert (counts.tasks, counts.embedded, counts.failed, counts.pending) == (20, 18, 2, 0)
    failed = world.services.tasks.list(world.project.id, state="failed")
    assert [task.id for task in failed] == [7, 9]
    assert failed[0].reason == "the image is truncated"
    assert "image" in failed[1].reason


def test_a_worker_that_dies_midway_loses_at_most_a_chunk_and_nothing_is_stored_twice(world: World) -> None:
    project = world.connect(20)
    world.embedder.die_after = 6  # chunks of 4: one is stored, two images are lost
    with pytest.raises(RuntimeError):
        embed.embed(world.services, project.id, "worker-1")
    world.embedder.die_after = None
    world.embed_all()
    assert sorted(world.features.appended) == list(range(1, 21))
    assert world.services.tasks.counts(project.id).embedded == 20


def test_a_chunk_that_was_stored_but_not_marked_is_recognised(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    project = world.connect(8)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt  # no clean-up of ours runs after kill -9: the lease stays

    with monkeypatch.context() as patch:
        patch.setattr(world.services.tasks, "finish", lambda p, done, bad: killed() if done else None)
        patch.setattr(world.services.tasks, "release", lambda p, owner: None)
        with pytest.raises(KeyboardInterrupt):
            embed.embed(world.services, project.id, "worker-1")
    stored = list(world.features.appended)
    assert len(stored) == 4
    assert embed.embed(world.services, project.id, "worker-2") == 0  # leases of the dead still stand
    world.state.tasks.release(project.id, "worker-1")
    world.embed_all()
    assert sorted(world.features.appended) == list(range(1, 9))
    assert world.services.tasks.counts(project.id).embedded == 8


def test_an_error_that_is_not_the_images_fault_never_marks_tasks_as_deadly(world: World) -> None:
    project = world.connect(8)
    world.embedder.die_after = 0
    for _ in range(embed.MOST_CLAIMS + 2):
        with pytest.raises(RuntimeError):
            embed.embed(world.services, project.id, "worker-1")
    world.embedder.die_after = None
    world.embed_all()
    assert world.services.tasks.counts(project.id).failed == 0


def test_another_backbone_starts_a_new_version_instead_of_mixing(world: World) -> None:
    project = world.connect(8)
    world.embed_all()
    world.embedder.name = "other"
    world.ls.put(LS_ID, [RemoteTask(100, "new.png", (), 20.0)])
    sync.reconcile(world.services, project.id)
    world.embed_all()
    assert world.project.features_version == project.features_version + 1
    assert len(world.features.load(project.id, world.project.features_version).task_ids) == 9
    assert len(world.features.load(project.id, project.features_version).task_ids) == 8

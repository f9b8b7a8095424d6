"""Embedding over fakes: every task once, whoever dies on the way."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from backend.core.domain import Deleted, Pages, RemoteTask
from backend.core.embedding import embed, store
from backend.core.errors import LabelStudioDown
from backend.core.project.enroll import enroll
from backend.core.services import Options
from backend.core.tasks import sync
from tests.backend.world import LS_ID, World
from tests.fakes import CONFIG
from tests.fakes.models import Killed


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
        patch.setattr(world.services.tasks, "finish", lambda p, done, *_, **__: killed() if done else None)
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


def test_a_task_that_is_deleted_while_it_is_embedded_leaves_no_features(world: World) -> None:
    """(10, chaos) Its features are stored after those of deleted tasks were dropped, and would stay for ever."""
    project = world.connect(8)

    def meanwhile() -> None:
        world.ls.drop(LS_ID, [5])
        sync.reconcile(world.services, project.id)

    world.embedder.meanwhile = meanwhile
    world.embed_all()
    assert sorted(world.features.stored[project.id, 1]) == [1, 2, 3, 4, 6, 7, 8]


def test_a_full_look_drops_the_features_of_tasks_that_are_gone(world: World) -> None:
    """(10, chaos) Whoever deletes a task of ours may be killed before its features are dropped."""
    project = world.connect(8)
    world.embed_all()
    world.services.tasks.apply(project.id, [], [Deleted("tasks", (3,), world.clock.now())])
    world.ls.drop(LS_ID, [3])
    sync.reconcile(world.services, project.id, full=True)
    assert sorted(world.features.stored[project.id, 1]) == [1, 2, 4, 5, 6, 7, 8]


def test_an_error_that_is_not_the_images_fault_never_marks_tasks_as_deadly(world: World) -> None:
    project = world.connect(8)
    world.embedder.die_after = 0
    for _ in range(store.MOST_DEATHS + 2):
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


def test_all_pages_of_a_task_are_embedded_and_what_is_left_out_is_told(world: World) -> None:
    """(10-D3) Task 1 has three images of which one is broken, task 2 none that is readable, task 3 none at all."""
    world.ls.add_project(LS_ID, 4)
    some, broken = Pages(("a.png", "broken.png", "c.png"), "only these are used"), Pages(("broken1", "broken2"))
    gone = Pages((), "task data has no image: it has url")
    world.ls.put(
        LS_ID,
        [
            RemoteTask(1, "a.png", (), 10.0, some),
            RemoteTask(2, "broken1", (), 10.0, broken),
            RemoteTask(3, None, (), 10.0, gone),
        ],
    )
    enroll(world.services, world.ls.remote[LS_ID], CONFIG)
    sync.reconcile(world.services, world.project.id, full=True)
    world.embed_all()
    assert world.embedder.shown[1] == some.refs and world.embedder.shown[4] == ("/data/upload/3.png",)
    tasks = {task.id: task for task in world.services.tasks.list(world.project.id)}
    assert [tasks[n].state for n in (1, 2, 3, 4)] == ["embedded", "failed", "failed", "embedded"]
    assert tasks[1].reason == "only these are used; 1 of its 3 images could not be read"
    assert (tasks[2].reason, tasks[3].reason) == ("the image is truncated", gone.note)
    assert tasks[1].refs == some.refs and tasks[4].reason == ""


def test_another_page_voids_the_vector_and_another_note_does_not(world: World) -> None:
    """(10-D3) What is embedded is what is shown."""
    project = world.connect(2)
    world.ls.put(LS_ID, [RemoteTask(1, "a", (), 20.0, Pages(("a", "b")))])
    sync.reconcile(world.services, project.id)
    world.embed_all()
    world.ls.put(LS_ID, [RemoteTask(1, "a", (), 30.0, Pages(("a", "b"), "more was told"))])
    sync.reconcile(world.services, project.id)
    assert world.services.tasks.counts(project.id).pending == 0
    assert world.services.tasks.list(project.id, ids=[1])[0].reason == "more was told"
    world.ls.put(LS_ID, [RemoteTask(1, "a", (), 40.0, Pages(("a", "c")))])
    sync.reconcile(world.services, project.id)
    assert world.services.tasks.counts(project.id).pending == 1
    assert 1 not in world.features.load(project.id, 1).task_ids


class Mortals:
    """Workers of a world that embed in turn; one that is killed gives nothing back, and another one starts."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = world
        self.deaths = 0
        release = world.services.tasks.release

        def unless_killed(project: int, owner: str) -> None:
            if not world.embedder.killed:
                release(project, owner)

        monkeypatch.setattr(world.services.tasks, "release", unless_killed)

    def work(self, most: int = 1000) -> None:
        """Embed until nothing is pending; leases of the dead run out as time goes by."""
        world = self.world
        for turn in range(most):
            if not world.services.tasks.counts(world.project.id).pending:
                return
            try:
                embed.embed(world.services, world.project.id, f"worker-{turn}")
            except Killed:
                self.deaths += 1
                world.embedder.killed = False
            world.clock.time += 11  # three turns, and the leases of the dead have run out
        raise AssertionError(world.services.tasks.counts(world.project.id))


@pytest.fixture
def both(tmp_path: Path, migrated_url: str) -> Iterator[World]:
    """A world on each kind of database."""
    made = World(tmp_path, database_url=migrated_url)
    yield made
    made.state.close()


def test_an_image_that_kills_its_worker_costs_itself_alone(both: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """(10-B3) The neighbours of a deadly image are embedded, and its reason names what happened and the cure."""
    project = both.connect(20)
    both.embedder.kills = lambda task: task == 5
    mortals = Mortals(both, monkeypatch)
    mortals.work()
    counts = both.services.tasks.counts(project.id)
    assert (counts.embedded, counts.failed, mortals.deaths) == (19, 1, store.MOST_DEATHS)
    [failed] = both.services.tasks.list(project.id, state="failed")
    assert failed.id == 5
    assert failed.reason.startswith("its worker died 7 times") and "memory, then retry" in failed.reason
    assert sorted(both.features.appended) == [task for task in range(1, 21) if task != 5]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_random_kills_fail_no_healthy_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """(10-B3) 512 healthy images under workers that are killed at one image in 20."""
    world = World(tmp_path, options=Options(shard_size=64, chunk_size=16))
    project = world.connect(512)
    chance = Random(seed)
    world.embedder.kills = lambda task: chance.random() < 0.05
    mortals = Mortals(world, monkeypatch)
    mortals.work()
    counts = world.services.tasks.counts(project.id)
    assert (counts.embedded, counts.failed) == (512, 0) and mortals.deaths > 10
    assert sorted(world.features.appended) == list(range(1, 513))


def test_a_lease_that_ran_out_in_sleep_is_no_proof_against_an_image(both: World) -> None:
    """(10-B3) The machine slept: two workers claim the same tasks, and none of them fails."""
    project = both.connect(8)
    for night in range(store.MOST_DEATHS - 1):
        both.services.tasks.claim(project.id, f"sleeper-{night}", 8, 30)
        both.clock.time += 3600
    both.embed_all()
    assert both.services.tasks.counts(project.id).embedded == 8


def test_a_job_begins_no_image_after_its_time(world: World) -> None:
    """(10-B2) Labels, rankings and publications of all projects wait for one piece, not for a shard of slow images."""
    project = world.connect(8)

    def slow(task: int) -> bool:
        world.clock.time += 20
        return False

    world.embedder.kills = slow
    assert embed.embed(world.services, project.id, "worker-1") == 2
    counts = world.services.tasks.counts(project.id)
    assert (counts.embedded, counts.pending) == (2, 6)
    world.embed_all()
    assert sorted(world.features.appended) == list(range(1, 9))


def test_an_image_that_is_not_handed_out_is_tried_later_and_given_up_only_while_others_come(world: World) -> None:
    """(10-B5) One hanging image costs itself, after several tries over minutes."""
    project = world.connect(8)
    world.embedder.silent = {3}
    assert embed.embed(world.services, project.id, "worker-1") == 7
    for tries in range(1, store.MOST_UNANSWERED):
        assert world.services.tasks.counts(project.id).pending == 1
        assert embed.embed(world.services, project.id, "worker-1") == 0  # not before its time
        world.clock.time += store.POSTPONED * 2 ** (tries - 1) + 1
        embed.embed(world.services, project.id, "worker-1")
    [failed] = world.services.tasks.list(project.id, state="failed")
    assert failed.id == 3
    assert failed.reason.startswith("no complete answer within 20 s; tried 6 times while other images came")


def test_a_label_studio_that_hangs_fails_no_image(world: World) -> None:
    """(10-B5) However often and however many images it does not hand out."""
    project = world.connect(12)
    embed.embed(world.services, project.id, "worker-1")
    world.embedder.silent = set(range(1, 13))
    for _ in range(store.MOST_UNANSWERED + 2):
        with pytest.raises(LabelStudioDown, match="no complete answer"):
            embed.embed(world.services, project.id, "worker-1")
        world.clock.time += 60
    world.embedder.silent = set()
    world.embed_all()
    assert world.services.tasks.counts(project.id).embedded == 12


@pytest.mark.slow
@pytest.mark.parametrize("version", [1, 2])
def test_processes_that_an_image_kills_with_signal_9_embed_all_the_others(both: World, version: int) -> None:
    """(10-B3) Two real processes at a time on each database, in a renewal too; each death ends one, another starts."""
    project = both.connect(40)
    if version == 2:
        both.services.tasks.finish(project.id, dict.fromkeys(range(1, 41), "d"), {})
        fill_version_2(both)
    command = [sys.executable, "-m", "tests.backend.mortal_process", both.database_url]
    command += [str(project.id), "9", str(version)]
    running = [subprocess.Popen(command) for _ in range(2)]
    ended: list[int] = []
    while running:
        process = running.pop(0)
        ended.append(process.wait(120))
        if ended[-1] != 0 and len(ended) < 30:
            running.append(subprocess.Popen(command))
    assert sorted(ended) == [-signal.SIGKILL] * store.MOST_DEATHS + [0, 0]
    if version == 2:
        assert [item.state for item in both.services.feature_sets.list(project.id)] == ["live", "judging"]
        both.services.feature_sets.move(project.id, 2, "accept", at=1.0, stored=set(range(1, 41)) - {9})
    counts = both.services.tasks.counts(project.id)
    assert (counts.embedded, counts.failed) == (39, 1)
    [failed] = both.services.tasks.list(project.id, state="failed")
    assert failed.id == 9 and failed.reason.startswith("its worker died 7 times")


def fill_version_2(world: World) -> None:
    """A renewal that has been trained."""
    sets, project = world.services.feature_sets, world.project.id
    sets.begin(project, version=2, method="ft", base=1, labels=0, labels_digest="x", held_out=[], at=1.0)
    assert sets.move(project, 2, "trained", at=1.0, checkpoint="c")

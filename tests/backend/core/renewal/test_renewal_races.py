"""(10-C4) Two things happen to a renewal at once: exactly one wins, and the other leaves nothing half done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backend.core.domain import RemoteTask
from backend.core.domain.training import FeatureSet
from backend.core.embedding import embed
from backend.core.errors import QueueDown, TrainingFailed, UserError
from backend.core.queue import due
from backend.core.renewal import judge, renew, train
from backend.core.tasks import sync
from tests.backend.world import LS_ID, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.embedder.gap, made.embedder.noise = 0.6, 1.0  # so that the renewed features are better
    made.connect(60)
    made.embed_all()
    made.rank()
    made.label(*range(1, 41))
    made.rank()
    renew.start(made.services, made.project.id)
    made.asked()
    return made


def state_of(world: World, version: int = 2) -> str:
    return world.services.feature_sets.get(world.project.id, version).state


def train_all(world: World) -> None:
    while state_of(world) == "training":
        train.train(world.services, world.project.id, 2)


def embed_new(world: World) -> None:
    train_all(world)
    while state_of(world) == "embedding":
        embed.embed_version(world.services, world.project.id, 2, "worker-1")


def renewed(world: World) -> FeatureSet:
    embed_new(world)
    judge.judge(world.services, world.project.id, 2)
    return world.services.feature_sets.get(world.project.id, 2)


def cancel(world: World) -> Callable[[], object]:
    return lambda: renew.cancel(world.services, world.project.id)


def test_a_task_that_is_deleted_while_it_is_embedded_anew_leaves_no_features(world: World) -> None:
    """(10, chaos) As with the live version, in which it would never be looked at again."""
    train_all(world)
    doomed = 5

    def meanwhile() -> None:
        world.ls.drop(LS_ID, [doomed])
        sync.reconcile(world.services, world.project.id)

    world.renewed.meanwhile = meanwhile
    embed_new(world)
    assert sorted(world.features.stored[world.project.id, 2]) == [task for task in range(1, 61) if task != doomed]


@pytest.mark.parametrize("finishes", [False, True])
def test_a_training_that_ends_after_a_cancel_leaves_nothing(world: World, finishes: bool) -> None:
    world.trainer.per_slice = 4 if finishes else 2
    world.trainer.meanwhile = cancel(world)
    train.train(world.services, world.project.id, 2)
    found = world.services.feature_sets.get(world.project.id, 2)
    assert (found.state, found.reason, found.checkpoint) == ("cancelled", "cancelled by a person", "")
    assert found.report.training is None
    assert world.trainer.dropped == [f"p{world.project.id}-v2"]
    assert not {"train", "embed_version", "judge"} & set(world.asked())


def test_a_training_that_fails_after_a_cancel_stays_cancelled(world: World) -> None:
    def fail() -> None:
        renew.cancel(world.services, world.project.id)
        raise TrainingFailed("no memory for one image")

    world.trainer.meanwhile = fail
    assert train.train(world.services, world.project.id, 2) is None
    found = world.services.feature_sets.get(world.project.id, 2)
    assert (found.state, found.reason) == ("cancelled", "cancelled by a person")


def test_a_slice_that_waits_in_the_queue_when_it_is_cancelled_cleans_up(world: World) -> None:
    train.train(world.services, world.project.id, 2)
    renew.cancel(world.services, world.project.id)
    assert train.train(world.services, world.project.id, 2) is None
    assert world.trainer.dropped == [f"p{world.project.id}-v2"]


def test_of_two_trainers_the_slower_takes_nothing_back(world: World) -> None:
    world.trainer.per_slice = 4
    world.trainer.meanwhile = lambda: train.train(world.services, world.project.id, 2)  # the faster one ends
    train.train(world.services, world.project.id, 2)
    assert state_of(world) == "embedding"


def test_a_cancel_amid_embedding_stores_no_further_chunk(world: World) -> None:
    train_all(world)
    world.asked()
    world.renewed.meanwhile = cancel(world)  # amid the second chunk of four
    assert embed.embed_version(world.services, world.project.id, 2, "worker-1") == 4
    found = world.services.feature_sets.get(world.project.id, 2)
    assert found.state == "cancelled"
    assert len(world.features.ids(world.project.id, 2)) == 4
    assert not {"embed_version", "judge"} & set(world.asked())
    assert embed.embed_version(world.services, world.project.id, 2, "worker-1") == 0


def test_a_cancel_while_it_is_judged_keeps_the_old_version(world: World) -> None:
    embed_new(world)
    world.asked()
    world.features.meanwhile = cancel(world)
    assert judge.judge(world.services, world.project.id, 2) is None
    assert (state_of(world), world.project.features_version) == ("cancelled", 1)
    assert "cycle" not in world.asked()


def test_a_cancel_that_comes_after_it_went_live_is_refused_and_changes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed_new(world)
    sets, move = world.state.feature_sets, world.state.feature_sets.move

    def late(project: int, version: int, name: Any, **more: Any) -> FeatureSet | None:
        if name == "cancel":  # between the look at the list and the move
            judge.judge(world.services, project, version)
        return move(project, version, name, **more)

    monkeypatch.setattr(type(sets), "move", staticmethod(late))
    with pytest.raises(UserError, match="the renewal has just ended: version 2 is live; nothing changed"):
        renew.cancel(world.services, world.project.id)
    assert (state_of(world), world.project.features_version) == ("live", 2)


def test_of_two_judges_one_decides(world: World) -> None:
    embed_new(world)
    world.asked()
    inner: list[object] = []
    world.features.meanwhile = lambda: inner.append(judge.judge(world.services, world.project.id, 2))
    assert judge.judge(world.services, world.project.id, 2) is None
    assert inner != [None]
    assert (state_of(world), world.project.features_version) == ("live", 2)
    assert world.asked().count("cycle") == 1


def test_a_version_compared_with_one_that_serves_no_more_is_judged_again(world: World) -> None:
    assert renewed(world).state == "live"
    renew.start(world.services, world.project.id)  # version 3, on 2
    sets, project = world.services.feature_sets, world.project.id
    for move in ("trained", "embedded"):
        sets.move(project, 3, move, at=1.0, checkpoint="c")
    world.features.stored[project, 3] = dict(world.features.stored[project, 2])
    world.asked()
    world.features.meanwhile = lambda: renew.rollback(world.services, project, 1)
    assert judge.judge(world.services, project, 3) is None
    assert (state_of(world, 3), world.project.features_version) == ("judging", 1)
    assert "judge" in world.asked()
    assert judge.judge(world.services, project, 3) is not None
    assert (state_of(world, 3), world.project.features_version) == ("live", 3)


def test_only_versions_that_were_whole_serve_again(world: World) -> None:
    """A version amid its embedding, or cancelled there, holds features, and was taken."""
    project = world.project.id

    def refused(told: str, version: int = 2) -> None:
        before = world.services.feature_sets.list(project)
        with pytest.raises(UserError, match=told):
            renew.rollback(world.services, project, version)
        assert world.services.feature_sets.list(project) == before
        assert world.project.features_version == 1

    refused("version 2 is training: only versions that were whole once")
    train_all(world)
    embed.embed_version(world.services, project, 2, "worker-1")
    assert len(world.features.ids(project, 2))
    refused("version 2 is embedding")
    embed_new(world)
    refused("version 2 is judging")
    renew.cancel(world.services, project)
    refused("version 2 is cancelled")
    refused("version 1 serves already", 1)
    failed = renew.start(world.services, project).version
    world.services.feature_sets.move(project, failed, "fail", at=1.0)
    refused(f"version {failed} is failed", failed)


def test_a_rejected_version_may_serve_and_one_that_lost_its_features_may_not(world: World) -> None:
    world.renewed.gap = 0.0
    assert renewed(world).state == "rejected"
    renew.rollback(world.services, world.project.id, 2)
    assert (state_of(world, 1), state_of(world, 2)) == ("retired", "live")
    world.features.clear(world.project.id, 1)
    with pytest.raises(UserError, match="holds no features"):
        renew.rollback(world.services, world.project.id, 1)


def test_killed_right_after_going_live_the_tick_finishes_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database says live, and nobody was told: what lacks features is embedded, then a round is due."""
    embed_new(world)
    world.ls.put(LS_ID, [RemoteTask(1000, "/data/new.png", (), world.clock.time)])
    sync.reconcile(world.services, world.project.id)
    embed.embed(world.services, world.project.id, "worker-1")  # of version 1 only
    world.asked()

    def killed(*_: object) -> None:
        raise QueueDown("killed here")

    with monkeypatch.context() as patch:
        patch.setattr(renew, "rank_on_switched", killed)
        with pytest.raises(QueueDown):
            judge.judge(world.services, world.project.id, 2)
    assert (state_of(world), world.project.features_version) == ("live", 2)
    counts = world.services.tasks.counts(world.project.id)
    assert (counts.pending, counts.embedded) == (1, 60)
    world.asked()
    due.tick(world.services)
    assert "embed" in world.asked()
    embed.embed(world.services, world.project.id, "worker-1")
    assert 1000 in world.features.ids(world.project.id, 2)
    world.asked()
    due.tick(world.services)
    assert "cycle" in world.asked()
    world.rank()
    ranking = world.services.rankings.latest(world.project.id)
    assert ranking is not None and ranking.features_version == 2


def test_a_shard_under_way_when_another_version_goes_live_is_embedded_for_that_one(world: World) -> None:
    embed_new(world)
    fresh = [RemoteTask(1000 + n, f"/data/new{n}.png", (), world.clock.time) for n in range(8)]
    world.ls.put(LS_ID, fresh)
    sync.reconcile(world.services, world.project.id)
    world.embedder.meanwhile = lambda: judge.judge(world.services, world.project.id, 2)
    embed.embed(world.services, world.project.id, "worker-1")
    assert (world.project.features_version, world.services.tasks.counts(world.project.id).pending) == (2, 8)
    world.embed_all()
    assert {task.id for task in fresh} <= set(world.features.ids(world.project.id, 2).tolist())


def test_going_back_embeds_nothing_that_is_stored(world: World) -> None:
    assert renewed(world).state == "live"
    fresh = [RemoteTask(1000 + n, f"/data/new{n}.png", (), world.clock.time) for n in range(4)]
    world.ls.put(LS_ID, fresh)
    sync.reconcile(world.services, world.project.id)  # pending in version 2
    world.features.appended.clear()
    renew.rollback(world.services, world.project.id, 1)
    world.embed_all()
    renew.rollback(world.services, world.project.id, 2)
    world.embed_all()
    renew.rollback(world.services, world.project.id, 1)
    world.embed_all()
    assert sorted(world.features.appended) == sorted([task.id for task in fresh] * 2)  # once a version


def test_another_backbone_amid_a_renewal_cancels_it(world: World) -> None:
    train_all(world)
    world.embedder.name = "other"
    world.ls.put(LS_ID, [RemoteTask(1000, "/data/new.png", (), world.clock.time)])
    sync.reconcile(world.services, world.project.id)
    embed.embed(world.services, world.project.id, "worker-1")
    assert [item.state for item in world.services.feature_sets.list(world.project.id)] == [
        "retired",
        "cancelled",
        "live",
    ]
    assert embed.embed_version(world.services, world.project.id, 2, "worker-1") == 0
    world.embed_all()
    assert len(world.features.ids(world.project.id, 3)) == 61
    assert renew.start(world.services, world.project.id).version == 4


def test_what_the_store_holds_of_a_lost_database_is_never_taken_for_a_new_version(world: World) -> None:
    project = world.project.id
    renew.cancel(world.services, project)
    world.features.stored[project, 3] = {1: world.embedder.vector(1)}
    assert renew.start(world.services, project).version == 4


def test_tasks_that_are_gone_or_moved_are_so_in_every_version(world: World) -> None:
    """A rollback served deleted tasks, and features of images that had been replaced."""
    assert renewed(world).state == "live"
    del world.ls.items[LS_ID][50]
    world.ls.put(LS_ID, [RemoteTask(51, "/data/replaced.png", (), world.clock.time)])
    sync.reconcile(world.services, world.project.id, full=True)
    for version in (1, 2):
        assert not {50, 51} & set(world.features.ids(world.project.id, version).tolist())
    renew.rollback(world.services, world.project.id, 1)
    world.embed_all()
    world.set(head_size=1000)
    order = world.rank()
    assert 51 in order and 50 not in order

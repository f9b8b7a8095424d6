"""A renewal from the advice to the switch, over fakes: the live version stays until a better one is proven."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.core.domain import Pick, RemoteTask
from backend.core.domain.training import FeatureSet
from backend.core.embedding import embed
from backend.core.errors import UserError
from backend.core.queue import due
from backend.core.renewal import advise, judge, renew, rules, train
from backend.core.tasks import sync
from tests.backend.world import LS_ID, NAMES, World

VAGUE = {"gap": 0.6, "noise": 1.0}  # features that hardly tell the classes apart


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.embedder.gap, made.embedder.noise = VAGUE["gap"], VAGUE["noise"]
    made.connect(240)
    made.embed_all()
    made.rank()
    made.label(*range(1, 151))
    made.rank()
    made.asked()
    return made


def play(world: World) -> FeatureSet:
    """Run the jobs of the renewal under way until it ends."""
    project = world.project.id
    for _ in range(200):
        current = world.services.feature_sets.list(project)[-1]
        if current.state == "training":
            train.train(world.services, project, current.version)
        elif current.state == "embedding":
            embed.embed_version(world.services, project, current.version, "worker-1")
        elif current.state == "judging":
            judge.judge(world.services, project, current.version)
        else:
            return current
    raise AssertionError("the renewal does not end")


def test_better_features_are_accepted_and_ranked_on(world: World) -> None:
    project = world.project.id
    renew.start(world.services, project)
    assert play(world).state == "live"
    assert world.project.features_version == 2
    assert "cycle" in world.asked()
    before = world.services.rankings.latest(project)
    order = world.rank()
    after = world.services.rankings.latest(project)
    assert before and after
    assert (before.features_version, after.features_version) == (1, 2)
    assert order == [pick.task_id for pick in after.picks]
    head = world.services.rankings.latest_head(project)
    assert head is not None and head.report.accuracy is not None
    assert head.report.accuracy > 0.95
    assert world.trainer.dropped == [f"p{project}-v2"]


def test_features_that_are_no_better_are_rejected_and_the_old_ones_stay(world: World) -> None:
    world.renewed.gap, world.renewed.noise = 0.0, 1.0  # a sabotaged fine-tune: no class can be told
    renew.start(world.services, world.project.id)
    ended = play(world)
    assert ended.state == "rejected"
    assert "not better" in ended.reason
    assert world.project.features_version == 1
    assert "cycle" not in world.asked()


def test_training_sees_neither_held_out_nor_audit_nor_later_labels(world: World) -> None:
    project = world.project.id
    started = renew.start(world.services, project)
    world.clock.time += 1
    world.label(*range(151, 181))
    train.train(world.services, project, started.version)
    order = world.trainer.orders[0]
    trained = {example.task_id for example in order.train}
    held_out = {example.task_id for example in order.held_out}
    assert held_out == set(rules.stopping_half(started.held_out))
    assert not trained & set(started.held_out)
    assert not (trained | held_out) & world.services.tasks.audit(project)
    assert trained | held_out <= set(range(1, 151))
    assert {e.task_id: order.classes[e.label] for e in order.train} == {task: NAMES[task % 3] for task in trained}
    assert len(started.held_out) == pytest.approx(0.2 * (len(trained) + len(started.held_out)), abs=3)


def test_a_killed_slice_goes_on_from_the_same_order(world: World) -> None:
    project = world.project.id
    started = renew.start(world.services, project)
    train.train(world.services, project, started.version)
    world.label(*range(151, 161))
    train.train(world.services, project, started.version)
    assert world.trainer.orders[0] == world.trainer.orders[1]


def test_new_weights_embed_beside_the_live_version_and_nothing_twice(world: World) -> None:
    project = world.project.id
    started = renew.start(world.services, project)
    for _ in range(2):
        train.train(world.services, project, started.version)
    world.features.appended.clear()
    world.renewed.die_after = 6
    with pytest.raises(RuntimeError):
        embed.embed_version(world.services, project, 2, "worker-1")
    world.renewed.die_after = None
    assert world.services.tasks.counts(project).embedded == 240  # the live version serves on
    assert len(world.rank()) > 0
    play(world)
    assert len(world.features.appended) == len(set(world.features.appended)) == 240


def test_tasks_that_come_during_a_renewal_are_embedded_for_the_new_version(world: World) -> None:
    project = world.project.id
    renew.start(world.services, project)
    world.ls.put(LS_ID, [RemoteTask(1000 + n, f"/data/new{n}.png", (), world.clock.time) for n in range(3)])
    sync.reconcile(world.services, project)
    embed.embed(world.services, project, "worker-1")  # into the live version 1
    while world.services.tasks.counts(project).pending:
        embed.embed(world.services, project, "worker-1")
    play(world)
    while world.services.tasks.counts(project).pending:
        embed.embed(world.services, project, "worker-1")
    table = world.features.load(project, 2)
    assert len(table.task_ids) == 243
    assert {1000, 1001, 1002} <= set(table.task_ids.tolist())
    assert {1000, 1001, 1002} <= {p.task_id for p in _ranked(world)}


def test_tasks_embedded_after_the_last_look_become_pending_at_the_switch(world: World) -> None:
    project = world.project.id
    renew.start(world.services, project)
    train.train(world.services, project, 2)
    train.train(world.services, project, 2)
    while world.services.feature_sets.get(project, 2).state == "embedding":
        embed.embed_version(world.services, project, 2, "worker-1")
    world.ls.put(LS_ID, [RemoteTask(1000, "/data/new.png", (), world.clock.time)])
    sync.reconcile(world.services, project)
    embed.embed(world.services, project, "worker-1")
    judge.judge(world.services, project, 2)
    assert world.services.tasks.counts(project).pending == 1
    embed.embed(world.services, project, "worker-1")
    assert 1000 in world.features.load(project, 2).task_ids


def test_only_one_renewal_at_a_time_and_it_can_be_cancelled(world: World) -> None:
    project = world.project.id
    renew.start(world.services, project)
    with pytest.raises(UserError, match="version 2 is already training"):
        renew.start(world.services, project)
    renew.cancel(world.services, project)
    assert train.train(world.services, project, 2) is None
    assert world.services.feature_sets.get(project, 2).state == "cancelled"
    with pytest.raises(UserError, match="no renewal is under way"):
        renew.cancel(world.services, project)
    assert renew.start(world.services, project).version == 3


def test_a_rollback_serves_the_old_version_again(world: World) -> None:
    project = world.project.id
    renew.start(world.services, project)
    play(world)
    world.features.loaded = 0
    renew.rollback(world.services, project, 1)
    assert world.features.loaded == 0  # the web process does it too, and holds no vectors
    assert world.project.features_version == 1
    states = {item.version: item.state for item in world.services.feature_sets.list(project)}
    assert states == {1: "live", 2: "retired"}
    world.rank()
    ranking = world.services.rankings.latest(project)
    assert ranking is not None
    assert ranking.features_version == 1
    with pytest.raises(UserError, match="no feature version 9"):
        renew.rollback(world.services, project, 9)


def test_too_few_labels_cannot_be_fine_tuned_on(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.connect(20)
    world.embed_all()
    world.label(1, 2)
    with pytest.raises(UserError, match="too few"):
        renew.start(world.services, world.project.id)


def test_each_round_records_its_evidence_and_the_advice_in_words(world: World) -> None:
    project = world.project.id
    assert advise.consider(world.services, project) == "wait"
    head = world.services.rankings.latest_head(project)
    assert head is not None
    told = head.report.renewal
    assert told is not None
    assert told.action == "wait"
    assert "fine-tuning needs 200" in told.reason
    assert told.labels == 150 - len(world.services.tasks.audit(project) & set(range(1, 151)))
    assert told.logme is not None and told.logme_ped is not None
    assert told.logme < told.logme_ped


def test_advice_starts_a_renewal_only_in_mode_auto(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from selection.proxy.renewal import Advice

    project = world.project.id
    monkeypatch.setattr(advise, "advise", lambda *_, **__: Advice("renew", "it is time"))
    advise.consider(world.services, project)
    assert len(world.services.feature_sets.list(project)) == 1  # no GPU: suggest
    world.set(renewal="off")
    world.has_gpu = True
    advise.consider(world.services, project)
    assert len(world.services.feature_sets.list(project)) == 1
    world.set(renewal=None)
    advise.consider(world.services, project)
    assert world.services.feature_sets.list(project)[-1].state == "training"
    advise.consider(world.services, project)
    assert len(world.services.feature_sets.list(project)) == 2


def test_a_lost_job_of_a_renewal_is_submitted_again_by_the_tick(world: World) -> None:
    renew.start(world.services, world.project.id)
    assert "train" in world.asked()
    due.tick(world.services)
    assert "train" in world.asked()


def test_the_expansion_trains_with_weights_below_one_and_never_on_blocked_rows(world: World) -> None:
    project = world.project.id
    world.set(calibrate=True)
    started = renew.start(world.services, project)
    train.train(world.services, project, started.version)
    order = world.trainer.orders[0]
    pseudo = [example for example in order.train if example.weight < 1]
    assert pseudo
    world.ls.put(LS_ID, [RemoteTask(2000 + n, f"/data/late{n}.png", (), world.clock.time) for n in range(30)])
    sync.reconcile(world.services, project)
    while world.services.tasks.counts(project).pending:
        embed.embed(world.services, project, "worker-1")
    train.train(world.services, project, started.version)  # a later slice: the pool has grown, the order has not
    assert world.trainer.orders[1] == order
    labeled = set(range(1, 151))
    assert not {e.task_id for e in pseudo} & (labeled | world.services.tasks.audit(project))
    training = world.services.feature_sets.get(project, 2).report.training
    assert training is not None and len(training.pseudo_labels) == len(pseudo)
    assert world.services.tasks.counts(project).labeled == 150


def _ranked(world: World) -> list[Pick]:
    world.set(head_size=1000)
    world.rank()
    ranking = world.services.rankings.latest(world.project.id)
    assert ranking is not None
    return list(ranking.picks)

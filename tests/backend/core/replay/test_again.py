"""A stored ranking is made again bit for bit from what was kept of it, or what differs is named."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import selection
from backend.core.domain import Inputs, Ranking, RemoteTask, Strategy
from backend.core.project.strategy import switch
from backend.core.replay.again import CannotReplay, machine_differs, replay
from backend.core.tasks import sync
from tests.backend.world import LS_ID, World


@pytest.fixture
def world(tmp_path: Path, filled_once: Path) -> Iterator[World]:
    """Labels of two classes on forty tasks, some of them drawn for the audit; on SQLite."""
    shutil.copy(filled_once, tmp_path / "state.sqlite")
    yield from begun(World(tmp_path))


def begun(made: World) -> Iterator[World]:
    """With the labels; closed in the end."""
    made.connect(40)
    made.set(audit_share=0.2)
    made.embed_all()
    made.label(1, 2, 4, 5, 7, 8)
    yield made
    made.state.close()


def ranked(world: World) -> Ranking:
    world.rank()
    made = world.services.rankings.latest(world.project.id)
    assert made is not None
    return made


def inputs_of(world: World, ranking: Ranking) -> Inputs:
    found = world.services.rankings.inputs(ranking.id)
    assert found is not None
    return found


def bring(world: World, *tasks: int) -> None:
    """Import these tasks into Label Studio, and embed them."""
    world.ls.put(LS_ID, [RemoteTask(n, f"/data/{n}.png", (), world.clock.time) for n in tasks])
    sync.reconcile(world.services, world.project.id, full=True)
    world.embed_all()


def test_a_ranking_is_made_again_bit_for_bit_after_labels_tasks_and_settings_changed(
    tmp_path: Path, migrated_url: str
) -> None:
    opened = begun(World(tmp_path, database_url=migrated_url))
    world = next(opened)
    made = ranked(world)
    assert any(pick.guess for pick in made.picks) and any(pick.audit for pick in made.picks)
    world.label(3, 6, 9, 10, 11, 12, 13)
    world.annotate(1, "two")  # another label than then
    bring(world, *range(101, 120))
    world.set(batch_size=3, audit_share=0.0)
    switch(world.services, world.project.id, "random", {})
    later = ranked(world)
    for ranking in (made, later):
        again = replay(world.services, ranking.id)
        assert again.same and again.place is None and again.differs == ()
        assert again.tasks == tuple(pick.task_id for pick in ranking.picks)
    assert replay(world.services, made.id).strategy == "auto"
    assert next(opened, None) is None


def test_a_ranking_of_one_class_alone_is_made_again(world: World) -> None:
    for task in (2, 5, 8):
        world.annotate(task, "one")
    sync.reconcile(world.services, world.project.id)
    made = ranked(world)
    world.label(2, 3, 6)
    assert inputs_of(world, made).graph is None
    assert replay(world.services, made.id).same


def test_a_graph_that_was_built_before_some_tasks_came_is_built_of_the_same_tasks_again(world: World) -> None:
    ranked(world)
    bring(world, 101, 102)
    made = ranked(world)
    graph = inputs_of(world, made).graph
    assert graph is not None and (int(graph.sum()), len(graph)) == (40, 42)
    assert replay(world.services, made.id).same


def test_whatever_the_strategy(world: World) -> None:
    for name in selection.names():
        world.set(strategy=Strategy(name), batch_size=4)
        again = replay(world.services, ranked(world).id)
        assert again.same and again.strategy == name


def test_deleted_tasks_are_counted_and_what_was_ranked_without_them_is_made_again(world: World) -> None:
    made = ranked(world)
    gone = [made.picks[1].task_id, made.picks[3].task_id]
    world.ls.drop(LS_ID, gone)
    sync.reconcile(world.services, world.project.id, full=True)
    later = ranked(world)
    again = replay(world.services, made.id)
    assert not again.same and again.place is not None and again.place <= 2
    assert again.stored == len(made.picks) and again.shared == again.stored - 2 and not set(gone) & set(again.tasks)
    assert len(again.differs) == 1 and again.differs[0].startswith("2 of 40 tasks have no features any more")
    assert replay(world.services, later.id).same


def test_another_image_of_a_task_is_told(world: World) -> None:
    made = ranked(world)
    world.features.stored[(world.project.id, 1)][20] = np.full(8, 2.0, np.float16)
    again = replay(world.services, made.id)
    assert again.differs == (
        "features: some vectors are others now, because tasks show other images or were embedded again",
    )


def test_a_ranking_from_before_a_renewal_is_made_on_the_old_features_and_told_when_they_are_gone(world: World) -> None:
    made, project = ranked(world), world.project.id
    world.embedder.name = "other"
    bring(world, 101)
    assert world.project.features_version == 2
    assert replay(world.services, made.id).same
    world.features.clear(project, 1)
    with pytest.raises(CannotReplay, match=r"features version 1 .* is gone; live is version 2"):
        replay(world.services, made.id)


def test_what_is_not_kept_is_told(world: World) -> None:
    made = ranked(world)
    old = world.services.rankings.add(
        made.project,
        strategy=made.strategy,
        seed=0,
        features_version=1,
        labels_digest="",
        labeled=0,
        embedded=0,
        head=None,
        picks=(),
        timings={},
        at=0.0,
    )
    with pytest.raises(CannotReplay, match="newest 50"):
        replay(world.services, old.id)


def test_another_machine_is_told_by_name() -> None:
    then = {"numpy": "2.2.0", "torch": "2.6.0", "processor": "A"}
    assert machine_differs(then, then) == []
    now = {"numpy": "2.3.0", "torch": "2.6.0", "threads": "4"}
    assert machine_differs(then, now) == [
        "numpy: 2.3.0 here, 2.2.0 when it was made",
        "processor: unknown here, A when it was made",
        "threads: 4 here, unknown when it was made",
    ]


def test_a_million_tasks_take_little_room() -> None:
    """A ranking's inputs are kept 50 times a project: at a million tasks with 20,000 labels under a quarter MB each."""
    from backend.adapters.state.packing import pack

    n, rng = 1_000_000, np.random.default_rng(0)
    labels = np.full(n, -1, np.int64)
    labels[rng.choice(n, 20_000, replace=False)] = rng.integers(0, 100, 20_000)
    audit = rng.random(n) < 0.05
    made = Inputs(100, 10, 0.05, ("a",), np.arange(n) + 1, labels, audit, np.ones(n, bool), "x", {})
    assert len(pack(made)["rows"]) < 250_000
    assert len(pack(replace(made, task_ids=np.arange(n) * 3))["rows"]) < 250_000

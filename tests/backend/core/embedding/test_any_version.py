"""The live version and one that is being made are filled by the same steps: each task once, whoever dies or changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.core.domain import RemoteTask
from backend.core.embedding import embed, store
from backend.core.renewal import renew
from backend.core.services import Services
from backend.core.tasks import sync
from tests.backend.core.embedding.test_embed import fill_version_2
from tests.backend.world import LS_ID, World
from tests.fakes import FakeEmbedder
from tests.fakes.models import Killed


@dataclass
class ByImage(FakeEmbedder):
    """The vector is that of the image, not of the task."""

    def vector(self, task: int) -> Any:
        return np.full(self.dims, sum(map(ord, "".join(self.shown[task]))) % 1000, np.float16)


@pytest.fixture(params=[1, 2])
def version(request: pytest.FixtureRequest) -> int:
    """1 is live, 2 is made beside it."""
    return int(request.param)


@pytest.fixture
def world(tmp_path: Path, version: int) -> World:
    made = World(tmp_path, embedder=ByImage(), renewed=ByImage(name="tuned"))
    prepare(made, version)
    return made


@pytest.fixture
def both(tmp_path: Path, migrated_url: str, version: int) -> Iterator[World]:
    """The same on each kind of database."""
    made = World(tmp_path, database_url=migrated_url, embedder=ByImage(), renewed=ByImage(name="tuned"))
    prepare(made, version)
    yield made
    made.state.close()


def prepare(world: World, version: int) -> None:
    """Twenty tasks that the version lacks."""
    world.connect(20)
    if version == 2:
        world.embed_all()
        fill_version_2(world)
    world.features.appended.clear()


def work(world: World, version: int, owner: str = "worker-1") -> int:
    """One job."""
    if version == 1:
        return embed.embed(world.services, world.project.id, owner)
    return embed.embed_version(world.services, world.project.id, version, owner)


def work_all(world: World, version: int, owner: str = "worker-1") -> None:
    for _ in range(100):
        if not world.services.tasks.waiting(world.project.id, version):
            return
        work(world, version, owner)
        world.clock.time += 11  # three times, and the leases of the dead have run out
    raise AssertionError(world.services.tasks.waiting(world.project.id, version))


def embedder(world: World, version: int) -> FakeEmbedder:
    return world.embedder if version == 1 else world.renewed


def die(world: World, patch: pytest.MonkeyPatch, call: Callable[[], object]) -> None:
    """`call` ends as with kill -9: nothing is given back."""
    with patch.context() as dead:
        dead.setattr(world.services.tasks, "release", lambda *_: None)
        with pytest.raises(Killed):
            call()


def killed(*_: object, **__: object) -> None:
    raise Killed


def show_other(world: World, task: int) -> None:
    """The task shows another image in Label Studio."""
    world.clock.time += 1
    world.ls.put(LS_ID, [RemoteTask(task, "/data/other.png", (), world.clock.time)])


def vector(world: World, version: int, task: int) -> float:
    return float(world.features.stored[world.project.id, version][task][0])


OTHER = float(sum(map(ord, "/data/other.png")) % 1000)


def test_workers_at_once_embed_each_task_once(both: World, version: int) -> None:
    """(11-3) On both databases, by leases."""

    def until_done(number: int) -> None:
        while both.services.tasks.waiting(both.project.id, version):
            work(both, version, f"worker-{number}")

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(until_done, range(3)))
    assert sorted(both.features.appended) == list(range(1, 21))
    if version == 2:
        assert both.services.feature_sets.get(both.project.id, 2).state == "judging"


@pytest.mark.parametrize("line", ["hold", "finish"])
def test_killed_between_two_writes_the_next_worker_embeds_nothing_twice(
    both: World, version: int, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """(11-3) Before the vectors are stored, and after them."""
    with monkeypatch.context() as patch:
        patch.setattr(both.services.tasks, line, lambda _, given, *__, **___: killed() if given else None)
        die(both, monkeypatch, lambda: work(both, version, "doomed"))
    assert len(both.features.appended) == (4 if line == "finish" else 0)
    assert work(both, version) + work(both, version) == 12  # the leases of the dead still stand
    both.clock.time += 60
    work_all(both, version)
    assert sorted(both.features.appended) == list(range(1, 21))


def test_a_version_whose_last_worker_was_killed_before_handing_it_over_is_handed_over(
    both: World, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """(11-3) By the job that the tick asks for."""
    if version == 1:
        return
    with monkeypatch.context() as patch:
        patch.setattr(both.services.feature_sets, "move", killed)
        with pytest.raises(Killed):
            work_all(both, version)
    both.asked()
    renew.nudge_current(both.services, both.project.id)
    assert both.asked() == ["embed_version"]
    assert work(both, version) == 0
    assert both.services.feature_sets.get(both.project.id, 2).state == "judging" and "judge" in both.asked()


def test_a_deadly_image_costs_itself_alone_in_any_version(
    both: World, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """(10-B3) Re-embedding counted no deaths: one image ended worker after worker, and the renewal never ended."""
    embedder(both, version).kills = lambda task: task == 5
    deaths = 0
    for turn in range(60):
        if not both.services.tasks.waiting(both.project.id, version):
            break
        try:
            with monkeypatch.context() as patch:
                patch.setattr(both.services.tasks, "release", unless_killed(both, version, both.services))
                work(both, version, f"worker-{turn}")
        except Killed:
            deaths += 1
            embedder(both, version).killed = False
        both.clock.time += 11
    assert deaths == store.MOST_DEATHS
    assert sorted(both.features.appended) == [task for task in range(1, 21) if task != 5]
    if version == 2:
        both.services.feature_sets.move(
            both.project.id, 2, "accept", at=1.0, stored=both.features.ids(both.project.id, 2).tolist()
        )
    [failed] = both.services.tasks.list(both.project.id, state="failed")
    assert failed.id == 5 and failed.reason.startswith("its worker died 7 times")
    counts = both.services.tasks.counts(both.project.id)
    assert (counts.embedded, counts.pending) == (19, 0)
    if version == 2:  # it was good in the version before, and is there again
        renew.rollback(both.services, both.project.id, 1)
        assert both.services.tasks.counts(both.project.id).embedded == 20


def unless_killed(world: World, version: int, services: Services) -> Callable[[int, str], None]:
    release = services.tasks.release

    def call(project: int, owner: str) -> None:
        if not embedder(world, version).killed:
            release(project, owner)

    return call


def test_an_image_changed_amid_its_embedding_gets_its_own_vector_whoever_dies(
    both: World, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """(10, sync.take) The old vector was stored after all were dropped; two deaths later it was taken for the new."""
    forget = renew.forget

    def late(*arguments: Any) -> None:
        forget(*arguments)
        with monkeypatch.context() as patch:  # between forgetting and marking, a worker stores and dies
            patch.setattr(both.services.tasks, "finish", lambda _, done, *__, **___: killed() if done else None)
            die(both, monkeypatch, lambda: work(both, version, "doomed"))

    show_other(both, 1)
    with monkeypatch.context() as patch:
        patch.setattr(renew, "forget", late)
        sync.reconcile(both.services, both.project.id)
    assert vector(both, version, 1) != OTHER
    both.clock.time += 60
    with monkeypatch.context() as patch:  # the next one dies too
        patch.setattr(both.services.tasks, "hold", killed)
        die(both, monkeypatch, lambda: work(both, version, "doomed too"))
    both.clock.time += 60
    work_all(both, version)
    assert vector(both, version, 1) == OTHER
    work_all(both, 1)
    assert vector(both, 1, 1) == OTHER


def test_a_result_of_an_image_that_has_changed_is_not_stored(world: World, version: int) -> None:
    """(10, sync.take) The worker lives, and finds out before it stores."""

    def meanwhile() -> None:
        show_other(world, 6)
        sync.reconcile(world.services, world.project.id)

    embedder(world, version).meanwhile = meanwhile  # amid the second chunk
    work(world, version)
    assert 6 not in world.features.stored[world.project.id, version]
    work_all(world, version)
    assert vector(world, version, 6) == OTHER
    work_all(world, 1)
    assert world.services.tasks.counts(world.project.id).embedded == 20


def test_a_worker_that_slept_through_its_lease_stores_nothing(world: World, version: int) -> None:
    """(11-3) Another one has its tasks by then."""

    def meanwhile() -> None:
        world.clock.time += 3600
        work_all(world, version, "worker-2")

    embedder(world, version).meanwhile = meanwhile
    assert work(world, version, "sleeper") == 4
    assert sorted(world.features.appended) == list(range(1, 21))


def test_a_task_deleted_amid_its_embedding_leaves_no_vector_and_no_work(world: World, version: int) -> None:
    """(11-3) In any version."""

    def meanwhile() -> None:
        world.ls.drop(LS_ID, [6, 20])
        sync.reconcile(world.services, world.project.id)

    embedder(world, version).meanwhile = meanwhile
    work_all(world, version)
    for made in {1, version}:
        assert sorted(world.features.stored[world.project.id, made]) == [n for n in range(1, 20) if n != 6]


def test_tasks_that_come_amid_a_renewal_are_embedded_for_both_versions(world: World, version: int) -> None:
    """(11-3) And a renewal that lacks some is not handed over."""
    if version == 1:
        return
    work(world, 2)
    world.ls.put(LS_ID, [RemoteTask(100, "/data/new.png", (), world.clock.time)])
    sync.reconcile(world.services, world.project.id)
    assert [world.services.tasks.waiting(world.project.id, made) for made in (1, 2)] == [1, 13]
    work_all(world, 2)
    work_all(world, 1)
    assert all(100 in world.features.stored[world.project.id, made] for made in (1, 2))

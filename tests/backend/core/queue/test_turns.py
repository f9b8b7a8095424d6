"""Two workers on one database and one Label Studio: whatever comes between, both sides agree at the end.

One worker publishes ranking 2 and is stopped before each of its steps; the other one does its work there: beside it,
while the first one holds the lease, or after the lease ran out, which is what a stalled worker meets when it wakes up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from backend.core.queue import cycle, heal, publish
from backend.core.services import Options
from backend.core.tasks import sync
from tests.backend.world import LS_ID, World
from tests.fakes import FakeLabelStudio

pytestmark = pytest.mark.slow

LEASE = 3600.0  # of the real time in which it is renewed; the tests' clock is set by hand


@dataclass
class Stopping(FakeLabelStudio):
    """`leaving[call]` happens once, when that call's answer leaves."""

    leaving: dict[str, Callable[[], object]] = field(default_factory=dict)

    def project(self, ls_id):
        shown = super().project(ls_id)
        self.leaving.pop("project", lambda: None)()
        return shown


@pytest.fixture
def pair(migrated_url: str, tmp_path: Path) -> Iterator[tuple[World, World]]:
    """Two workers; ranking 1 is live."""
    options = Options(shard_size=8, chunk_size=4, lease=LEASE)
    first = World(tmp_path, ls=Stopping(), options=options, database_url=migrated_url)
    second = replace(first)
    first.connect(12)
    first.embed_all()
    first.rank()
    first.label(1, 2)
    first.asked()
    yield first, second
    first.state.close()
    second.state.close()


STEPS = ("versions", "import_predictions", "set_queue", "project", "mark")


def at(world: World, step: str, what: Callable[[], object]) -> None:
    """Plan something before a step of the next publication; "mark" is the last one, in our own database."""
    if step == "mark":
        world.ls.leaving["project"] = what
    else:
        world.ls.at[step] = what


OTHERS: dict[str, Callable[[World], object]] = {
    "reconcile": lambda world: sync.reconcile(world.services, world.project.id),
    "publish": lambda world: publish.publish(world.services, world.project.id),
    "tidy": lambda world: publish.tidy(world.services, world.project.id),
    "cycle": lambda world: cycle.cycle(world.services, world.project.id, "beside"),
}


def settle(world: World) -> None:
    """What the ticks of the next minutes do."""
    project = world.project.id
    for _ in range(3):
        world.clock.time += 61.0
        sync.reconcile(world.services, project)
        publish.publish(world.services, project)
        publish.tidy(world.services, project)


def check(world: World) -> None:
    """Database and Label Studio say the same, and no version was imported twice."""
    project = world.project.id
    live, latest = world.services.rankings.live(project), world.services.rankings.latest(project)
    assert live is not None and latest is not None and live.ranking == latest.id
    assert world.ls.remote[LS_ID].model_version == live.model_version
    assert world.served() == [pick.task_id for pick in latest.picks]
    for found in world.ls.predictions.values():
        assert len({item.task_id for item in found}) == len(found)
    states = [item.state for item in world.services.rankings.publications(project)]
    assert states.count("live") == 1 and "importing" not in states
    kept = {item.model_version for item in world.services.rankings.publications(project, ("live", "retired"))}
    assert {name for name, count in world.ls.versions(LS_ID).items() if count} == kept


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("step", STEPS)
def test_what_another_worker_does_amid_a_publication_is_left_to_its_holder(
    pair: tuple[World, World], step: str, other: str
) -> None:
    """(10-C3) A look put the old order back between PATCH and mark; a tick imported the same ranking twice."""
    first, second = pair
    at(first, step, lambda: OTHERS[other](second))
    first.ls.calls.clear()
    first.rank()
    settle(second)
    check(first)
    rankings = len(first.services.rankings.history(first.project.id)) - 1
    assert first.ls.calls.count("import_predictions") == rankings


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("step", STEPS)
def test_a_worker_that_slept_through_its_lease_undoes_nothing(pair: tuple[World, World], step: str, other: str) -> None:
    """(10-C3) Its lease is taken over before each step; then it wakes up and goes on."""
    first, second = pair

    def overtake() -> None:
        second.clock.time += LEASE + 1
        OTHERS[other](second)

    at(first, step, overtake)
    first.rank()
    settle(second)
    check(first)
    settle(first)
    check(second)


@pytest.mark.parametrize("step", STEPS)
def test_a_worker_killed_amid_a_publication_is_succeeded_when_its_lease_runs_out(
    pair: tuple[World, World], step: str
) -> None:
    """(10-C3) It never comes back: the ranking is published under a fresh version, what it left is tidied."""
    first, second = pair
    stopped, end = threading.Event(), threading.Event()

    def die() -> None:
        stopped.set()
        end.wait()
        raise SystemExit

    at(first, step, die)

    def work() -> None:
        with suppress(SystemExit):
            first.rank()

    victim = threading.Thread(target=work, daemon=True)
    victim.start()
    try:
        assert stopped.wait(120)
        assert publish.publish(second.services, second.project.id) == {}
        second.clock.time += LEASE + 1
        settle(second)
        check(second)
        failed = [item for item in second.services.rankings.publications(second.project.id) if "stopped" in item.reason]
        assert len(failed) == (step != "versions")
    finally:
        end.set()
        victim.join(60)


def test_workers_that_do_everything_at_once_agree_in_the_end(pair: tuple[World, World]) -> None:
    """(10-C3) A real race of threads on the real database."""
    first, second = pair
    workers = [first, second, replace(first), replace(first)]
    failures: list[BaseException] = []
    gate = threading.Barrier(len(workers))

    def work(number: int) -> None:
        world, project = workers[number], first.project.id
        gate.wait(120)
        for turn in range(6):
            try:
                if (turn + number) % 3 == 0:
                    latest = world.services.rankings.latest(project)
                    assert latest is not None
                    world.services.rankings.add(
                        project,
                        strategy=latest.strategy,
                        seed=0,
                        features_version=1,
                        labels_digest="",
                        labeled=2,
                        embedded=12,
                        head=None,
                        picks=[pick for pick in latest.picks if pick.task_id > 2],
                        timings={},
                        at=world.clock.now(),
                    )
                publish.publish(world.services, project)
                heal.reassert(world.services, world.project, world.ls.remote[LS_ID])
                publish.tidy(world.services, project)
            except Exception as error:
                failures.append(error)

    with ThreadPoolExecutor(len(workers)) as pool:
        list(pool.map(work, range(len(workers))))
    assert failures == []
    settle(first)
    check(second)
    for world in workers[2:]:
        world.state.close()

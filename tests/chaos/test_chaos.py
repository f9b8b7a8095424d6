"""kill -9 of every part at random while people work; then nothing is lost, doubled, untrue or stuck.

`make chaos KILLS=40 SEED=1`. Who does what and what is killed in which order is drawn from the seed, so that a run can
be repeated as far as processes allow.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine

from scripts.digits import label_of
from scripts.label_studio_server import TOKEN
from tests.chaos import actors, checks
from tests.chaos.killer import WORKERS, kill
from tests.chaos.world import World
from tests.harness.labelqueue import RealLabelQueue
from tests.harness.labelstudio import RealLabelStudio
from tests.harness.live import Live
from tests.harness.postgres import Postgres
from tests.harness.valkey import Valkey
from tests.harness.waiting import wait_for

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(7200)]

KILLS = int(os.environ.get("CHAOS_KILLS", "40"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))
LABELED, OPEN, BROKEN = 70, 60, 2
SETTINGS = {"BATCH_SIZE": "10", "SHARD_SIZE": "40", "CHUNK_SIZE": "5", "IMAGE_SIZE": "32", "MIN_INTERVAL": "1"}
SETTLES = 420  # seconds: a job that failed is tried again after at most 300
FULL_LOOK = 120  # seconds after which a full look at Label Studio is asked for, which else comes every 15 minutes


@pytest.fixture
def engine(postgres: Postgres) -> Iterator[Engine]:
    """A new database, for us to look into; its address is the engine's."""
    made = create_engine(postgres.database().replace("postgresql://", "postgresql+psycopg://"))
    yield made
    made.dispose()


@pytest.fixture
def world(tmp_path: Path, engine: Engine) -> Iterator[World]:
    """A project with some labels, embedded and ranked; three workers on PostgreSQL."""
    (tmp_path / "valkey").mkdir()
    settings = {**SETTINGS, "DATABASE_URL": engine.url.render_as_string(hide_password=False), "SEED": str(SEED)}
    with (
        Valkey(tmp_path / "valkey") as valkey,
        RealLabelStudio(tmp_path / "ls", tmp_path / "files") as studio,
        RealLabelQueue(tmp_path / "home", studio.url, TOKEN, valkey.url, settings) as ours,
    ):
        ours.start(WORKERS)
        live = Live(studio, ours)
        world = World(live, valkey, studio.create_project("chaos"), SEED, {})
        paths = actors.images(world, 0, LABELED)
        references = studio.references(world.project, paths)
        known = [
            {"data": {"image": reference}, "annotations": [{"result": studio.result(label_of(path))}]}
            for path, reference in zip(paths, references, strict=True)
        ]
        numbers = studio.import_tasks(world.project, known)
        world.labels |= dict(zip(numbers, map(label_of, paths), strict=True))
        actors.add(world, actors.images(world, LABELED, OPEN, BROKEN))
        ours.run("connect", world.project, "--url", ours.url)
        live.wait(lambda: live.version(world.project), 120, "the first order", world.project)
        yield world


def test_random_kills_lose_nothing_double_nothing_and_leave_no_state_that_cannot_be(
    world: World, engine: Engine
) -> None:
    """(10) All parts are killed at random while labels, imports, deletions, switches and a renewal run."""
    began = time.monotonic()
    print(f"\nchaos: {KILLS} kills, seed {SEED}", flush=True)
    chaos(world)
    chaotic = time.monotonic()
    live, project = world.live, world.project
    wait_for(lambda: world.attempt("the last word", lambda: world.put("settings", {"renewal": "off"})), 60)
    found: list[str] = []

    def settled() -> bool:
        now = live.status(project)
        found[:] = ["no status"] if not now else busy(now) or checks.faults(checks.look(world, engine))
        return not found

    def tell() -> str:
        return "\n".join([*found, live.labelqueue.tail(15)])

    full = False
    try:
        wait_for(settled, FULL_LOOK, what="all as it must be", every=1, tell=tell)
    except AssertionError:
        print("not without a full look:\n" + "\n".join(found[:20]), flush=True)
        full = True
        live.labelqueue.run("sync", project)
        wait_for(settled, SETTLES, what="all as it must be", every=1, tell=tell)
    rests = time.monotonic()
    version = live.quiet(project)
    locked, order = live.label_studio.locked(), live.queue(project)
    users = [live.label_studio.user(f"late{number}@labelqueue.local") for number in range(3)]
    served = [live.label_studio.next_task(project, user) for user in users]
    assert served == [task for task in order if task not in locked][:3]
    seen = checks.look(world, engine)
    assert checks.faults(seen) == []
    assert live.version(project) == version, "the order changed though nobody did anything"
    report(world, seen, full, chaotic - began, rests - chaotic)
    assert not world.strange, "\n".join(world.strange)


def chaos(world: World) -> None:
    """All actors until the killer is done. An error of an actor's own is raised here."""
    errors: list[BaseException] = []

    def act(actor: Callable[[], None]) -> None:
        try:
            actor()
        except BaseException as error:
            errors.append(error)

    cast: list[Callable[[], None]] = [
        lambda: actors.annotate(world),
        lambda: actors.add_tasks(world, LABELED + OPEN),
        lambda: actors.delete_tasks(world),
        lambda: actors.administer(world),
        lambda: actors.renew(world),
    ]
    threads = [threading.Thread(target=act, args=(actor,), daemon=True) for actor in cast]
    for thread in threads:
        thread.start()
    try:
        kill(world, KILLS)
    finally:
        world.over.set()
        for thread in threads:
            thread.join(180)
    assert not any(thread.is_alive() for thread in threads)
    if errors:
        raise errors[0]


def busy(now: dict[str, Any]) -> list[str]:
    """What is still to be done, in words."""
    jobs = [job for job in now["jobs"] if job["state"] == "running" and job["name"] != "reconcile"]
    waiting = {"pending": now["pending"], "queued": now["queued"], "backlog": now["backlog"]}
    waiting |= {"running": [job["key"] for job in jobs], "renewal": now["renewal"]}
    return [f"{name}: {value}" for name, value in waiting.items() if value]


def report(world: World, seen: checks.Seen, full: bool, chaotic: float, settling: float) -> None:
    states = Counter(row["state"] for row in seen.rows("select state from publications where project = :p"))
    sets = Counter(row["state"] for row in seen.rows("select state from feature_sets where project = :p"))
    labeled = seen.rows("select count(*) as n from tasks where project = :p and label is not null")[0]["n"]
    rankings = seen.rows("select max(id) as n from rankings where project = :p")[0]["n"]
    print(f"\nkills: {sum(world.kills.values())}: {dict(sorted(world.kills.items()))}")
    for what, times in sorted(world.done.items()):
        print(f"  {times:5} {what}")
    print(f"tasks: {len(seen.remote)}, labeled {labeled}; rankings made: {rankings}; publications: {dict(states)}")
    print(f"feature versions: {dict(sets)}, live {seen.version}; a full look was needed: {full}")
    print(f"seconds: {chaotic:.0f} of chaos, {settling:.0f} until all was as it must be", flush=True)
    for line in world.strange:
        print(f"strange: {line}")

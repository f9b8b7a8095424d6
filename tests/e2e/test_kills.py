"""kill -9 of each part amid its work: every task is embedded once, labels are right, the queue is ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from scripts.label_studio_server import TOKEN
from tests.harness.labelqueue import RealLabelQueue
from tests.harness.labelstudio import RealLabelStudio
from tests.harness.live import Live
from tests.harness.valkey import Valkey
from tests.harness.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
SLOWLY = {"BATCH_SIZE": "10", "SHARD_SIZE": "60", "CHUNK_SIZE": "10", "IMAGE_SIZE": "224"}
N = 120


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    with Valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory, valkey: Valkey) -> Iterator[Live]:
    """An installation whose every part may be killed, with a Label Studio of its own."""
    folder = tmp_path_factory.mktemp("mortal")
    with (
        RealLabelStudio(folder / "ls", folder / "files") as label_studio,
        RealLabelQueue(folder / "home", label_studio.url, TOKEN, valkey.url, SLOWLY) as ours,
    ):
        ours.start()
        yield Live(label_studio, ours)


def state(live: Live, sql: str, *values: object) -> list[tuple[object, ...]]:
    """Look into the state as it is on disk at this moment."""
    (path,) = live.labelqueue.home.glob("*.sqlite")
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10) as database:
        rows = database.execute(sql, values).fetchall()
    database.close()
    return rows


def ours(live: Live, project: int) -> int:
    ((number,),) = state(live, "select id from projects where ls_id = ?", project)
    assert isinstance(number, int)
    return number


def begin(live: Live) -> int:
    """A project whose embedding has begun and is far from done."""
    project = live.project(N, connect=False)
    live.labelqueue.run("connect", project, "--url", live.labelqueue.url)
    live.wait(lambda: 10 <= live.status(project).get("embedded", 0) <= N // 2, 60, "some embedded", project)
    return project


def check_whole(live: Live, project: int, labeled: int = 1) -> None:
    """Every task embedded once, our order served, labels arriving: with the next one there are `labeled`."""
    live.ready(project, N, limit=180)
    assert live.embedded_rows(ours(live, project)) == sorted(live.truth(project))
    first, second = live.queue(project)[:2]
    assert live.label_studio.next_task(project) == first
    live.label_studio.annotate(second, "1")
    live.counts(project, labeled=labeled)


def test_a_worker_killed_amid_embedding_loses_nothing_and_embeds_nothing_twice(mortal: Live) -> None:
    project = begin(mortal)
    mortal.labelqueue.kill9_workers()
    stopped_at = mortal.status(project)["embedded"]
    assert stopped_at < N
    mortal.labelqueue.start_worker()
    check_whole(mortal, project)


def test_a_valkey_killed_amid_embedding_is_picked_up_where_it_was(mortal: Live, valkey: Valkey) -> None:
    project = begin(mortal)
    valkey.kill9()
    valkey.start()
    check_whole(mortal, project)


def test_labels_submitted_while_valkey_is_dead_are_learnt(mortal: Live, valkey: Valkey) -> None:
    project = begin(mortal)
    mortal.ready(project, N, limit=180)
    valkey.kill9()
    try:
        for task in list(mortal.truth(project))[:3]:
            mortal.label_studio.annotate(task, "2")  # the webhook cannot keep these, and must not hinder them
    finally:
        valkey.start()
    mortal.counts(project, labeled=3, limit=60)


def test_a_label_studio_killed_amid_a_publication_ends_with_the_queue_ours(mortal: Live) -> None:
    project = begin(mortal)
    before = mortal.ready(project, N, limit=180)
    number = ours(mortal, project)
    # by HTTP: the command line would still be ending when the order is live already
    httpx.put(f"{mortal.labelqueue.url}/api/projects/{project}/strategy", json={"name": "random"}).raise_for_status()
    newest = "select model_version, state from publications where project = ? order by id desc limit 1"
    attempt, _ = wait_for(
        lambda: next((row for row in state(mortal, newest, number) if row[1] == "importing"), None),
        60,
        what="an import under way",
        every=0.002,
        tell=mortal.labelqueue.tail,
    )
    mortal.label_studio.kill9()
    mortal.label_studio.restart()
    after = mortal.next_version(project, before, limit=120)
    assert mortal.status(project)["strategy"] == "random"
    states = dict(state(mortal, "select model_version, state from publications where project = ?", number))
    assert states[after] == "live" and list(states.values()).count("live") == 1
    if after != attempt:  # the attempt that was cut off is never continued, nor is its version used again
        assert states[str(attempt)] in ("failed", "deleted")
    assert mortal.label_studio.next_task(project) == mortal.queue(project)[0]


def test_killing_everything_at_once_and_starting_again_finds_all_as_it_was(mortal: Live, valkey: Valkey) -> None:
    project = begin(mortal)
    mortal.labelqueue.kill9_workers()
    mortal.labelqueue.kill9_web()
    valkey.kill9()
    mortal.label_studio.kill9()
    mortal.label_studio.restart()
    valkey.start()
    mortal.labelqueue.start()
    check_whole(mortal, project)


def test_a_lost_database_is_built_anew_from_label_studio(mortal: Live) -> None:
    others = {number for (number,) in state(mortal, "select id from projects")}
    project = begin(mortal)
    mortal.ready(project, N, limit=180)
    for task in mortal.queue(project)[:2]:
        mortal.label_studio.annotate(task, "3")
    mortal.counts(project, labeled=2)
    mortal.labelqueue.stop()
    for path in mortal.labelqueue.home.glob("*.sqlite*"):
        path.unlink()
    mortal.labelqueue.start()
    mortal.labelqueue.run("connect", project, "--url", mortal.labelqueue.url)
    mortal.counts(project, labeled=2, limit=180)
    assert ours(mortal, project) in others  # whose features are on disk still
    check_whole(mortal, project, labeled=3)


def test_the_homes_of_killed_processes_hold_no_secret_in_the_logs(mortal: Live) -> None:
    logs = "".join(path.read_text(errors="replace") for path in Path(mortal.labelqueue.home).glob("*.log"))
    assert logs and TOKEN not in logs

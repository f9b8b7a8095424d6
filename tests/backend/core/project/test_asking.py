"""(10-E5) `labelqueue learn` and `sync` say what happens next, or wait and show what came of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from backend.cli import base
from backend.core.domain import JobView, RemoteTask, WorkerView
from backend.core.queue import cycle
from backend.core.tasks import sync
from tests.backend.world import LS_ID, World

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def world(commanded: World) -> World:
    commanded.connect(30)
    commanded.embed_all()
    commanded.label(*range(1, 13))
    commanded.asked()
    return commanded


def worker(job: str = "") -> WorkerView:
    return WorkerView("w1", "here", 1, "cpu", job, 0.0)


def show(world: World, name: str, state: Any, error: str = "") -> None:
    key = f"{name}:{world.project.id}"
    world.jobs.views[:] = [JobView(key, name, world.project.id, state, 0, 0, 0.0, None, error)]


@pytest.fixture
def meanwhile(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[[], object]], None]:
    """`meanwhile("cycle", action)`: the job waits at the first look, `action` happens, then it is gone."""

    def arrange(name: str, action: Callable[[], object]) -> None:
        world.jobs.crew[:] = [worker()]
        show(world, name, "queued")

        def rest(seconds: float) -> None:
            world.jobs.views.clear()
            action()

        monkeypatch.setattr(base.time, "sleep", rest)

    return arrange


@pytest.mark.parametrize("command", ["learn", "sync"])
def test_what_happens_next_is_said(world: World, run: Run, command: str) -> None:
    key = {"learn": "cycle", "sync": "sync"}[command]
    assert "no worker runs: it is done once one does (labelqueue worker)" in run(command, LS_ID)[1]
    world.asked()
    world.jobs.crew[:] = [worker()]
    said = run(command, LS_ID)[1]
    assert "worker w1 takes it now" in said and f"labelqueue status {LS_ID} --watch" in said
    world.asked()
    world.jobs.crew[:] = [worker("embed:1:0")]
    assert "worker w1 takes it next" in run(command, LS_ID)[1]
    world.jobs.crew[:] = [worker(f"{key}:{world.project.id}")]
    assert "already; worker w1 is at it" in run(command, LS_ID)[1]
    show(world, key, "failed", "Label Studio does not answer")
    assert "tried again by itself (Label Studio does not answer)" in run(command, LS_ID)[1]


def test_waiting_for_a_learning_round_shows_the_ranking(world: World, run: Run, meanwhile: Any) -> None:
    meanwhile("cycle", lambda: cycle.cycle(world.services, world.project.id, "asked for"))
    code, out, _ = run("learn", LS_ID, "--wait")
    assert code == 0 and "ranking 1: 18 tasks, live; accuracy: " in out and "out of fold" in out


def test_waiting_for_a_round_that_makes_no_ranking_says_why(world: World, run: Run, meanwhile: Any) -> None:
    world.label(*range(13, 31))
    world.asked()
    meanwhile("cycle", lambda: cycle.cycle(world.services, world.project.id, "asked for"))
    assert "no ranking was made: every embedded task is labeled" in run("learn", LS_ID, "--wait")[1]


def test_waiting_for_a_look_shows_what_it_found(world: World, run: Run, meanwhile: Any) -> None:
    def look() -> None:
        world.ls.drop(LS_ID, [30])
        world.ls.put(LS_ID, [RemoteTask(n, f"/data/{n}.png", (), 10.0) for n in (41, 42)])
        sync.reconcile(world.services, world.project.id, full=True)

    meanwhile("sync", look)
    code, out, _ = run("sync", LS_ID, "--wait")
    assert code == 0 and "31 tasks seen, 2 added, 1 removed; 12 labeled, 0 skipped" in out


@pytest.mark.parametrize("command", ["learn", "sync"])
def test_a_failure_is_one_sentence_and_status_1(world: World, run: Run, meanwhile: Any, command: str) -> None:
    name = {"learn": "cycle", "sync": "sync"}[command]
    meanwhile(name, lambda: show(world, name, "failed", "the label config has no Choices"))
    code, out, err = run(command, LS_ID, "--wait")
    assert (code, out) == (1, "") and err.splitlines()[-1].endswith("by itself: the label config has no Choices")


def test_waiting_without_a_worker_ends_at_once(world: World, run: Run) -> None:
    show(world, "cycle", "queued")
    code, _, err = run("learn", LS_ID, "--wait")
    assert code == 1 and "no worker runs: it stays in the queue" in err


def test_ctrl_c_leaves_the_job_running_and_says_so(world: World, run: Run, meanwhile: Any) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    meanwhile("cycle", stop)
    code, _, err = run("learn", LS_ID, "--wait")
    assert code == 130 and "the job goes on in its worker" in err and world.jobs.names() == ["cycle"]

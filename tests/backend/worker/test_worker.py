"""Real worker processes on a real Valkey: kills, stops, outages, hostile payloads."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rq.job import Job as RqJob
from rq.serializers import JSONSerializer

from backend.adapters.queue.jobs import RqJobs, at
from backend.adapters.queue.running import Running
from backend.adapters.state import StateDown
from backend.core.domain import WorkerView
from backend.core.errors import BadSetting, QueueDown
from backend.core.jobs import Job
from backend.core.services import Services
from backend.worker import runtime
from backend.worker.runtime import QueueWorker, run_worker
from backend.worker.troubles import Troubles
from tests.harness.valkey import Valkey


class Workers:
    """Worker processes over one folder; `until` waits for a condition."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self.jobs = RqJobs(url)
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.backend.worker_process", self.url, str(self.folder), *options]
        with (self.folder / "errors").open("a") as errors:
            process = subprocess.Popen(command, stdout=errors, stderr=errors)
        self.started.append(process)
        return process

    def log(self) -> list[str]:
        file = self.folder / "log"
        return file.read_text().splitlines() if file.exists() else []

    def errors(self) -> str:
        return (self.folder / "errors").read_text()

    def until(self, condition: Callable[[], bool], seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, (self.log(), self.errors()[-3000:])
            time.sleep(0.02)

    def go(self) -> None:
        (self.folder / "go").touch()

    def close(self) -> None:
        for process in self.started:
            process.kill()
            process.wait()
        self.jobs.redis.close()


@pytest.fixture
def workers(valkey: Valkey, tmp_path: Path) -> Iterator[Workers]:
    made = Workers(valkey.url, tmp_path)
    made.jobs.redis.flushall()
    yield made
    made.close()


def test_a_burst_runs_jobs_by_urgency_in_one_process_without_torch(workers):
    workers.jobs.submit(Job("quick", "a", {"word": "plain"}))
    workers.jobs.submit(Job("quick", "b", {"word": "urgent"}, "urgent"))
    assert workers.start("--burst").wait(30) == 0
    assert workers.log() == ["urgent", "plain", "left"]
    assert workers.jobs.jobs() == workers.jobs.workers() == []


def test_plain_jobs_and_embedding_take_turns_so_that_neither_starves(workers):
    for number in range(3):
        workers.jobs.submit(Job("quick", f"look:{number}", {"word": f"look {number}"}))
        workers.jobs.submit(Job("embed", f"embed:{number}", {"word": f"embed {number}"}, "embed"))
    assert workers.start("--burst").wait(30) == 0
    assert workers.log() == ["look 0", "embed 0", "look 1", "embed 1", "look 2", "embed 2", "left"]


def test_a_failure_is_shown_and_backs_off_and_the_worker_goes_on(workers):
    workers.jobs.submit(Job("broken", "x", {}))
    workers.jobs.submit(Job("quick", "y", {"word": "after"}))
    workers.start("--burst").wait(30)
    assert workers.log() == ["broken", "after", "left"], workers.errors()
    [view] = workers.jobs.jobs()
    assert (view.key, view.state, view.error) == ("x", "failed", "the label config has no Choices")
    [stored] = workers.jobs.redis.scan_iter("rq:results:*")
    assert b"Traceback" not in b"".join(str(item).encode() for item in workers.jobs.redis.xrange(stored))
    assert not workers.jobs.submit(Job("broken", "x", {}))


def test_progress_and_the_worker_are_shown_while_a_job_runs(workers):
    workers.jobs.submit(Job("slow", "s", {}))
    workers.start()
    workers.until(lambda: any(view.done > 20 and view.rate > 0 for view in workers.jobs.jobs()))
    [view] = workers.jobs.jobs()
    assert (view.state, view.total) == ("running", 6000)
    workers.until(lambda: [worker.job for worker in workers.jobs.workers()] == ["s"])
    assert not workers.jobs.submit(Job("slow", "s", {}))
    workers.go()
    workers.until(lambda: workers.jobs.jobs() == [])


def test_a_job_of_a_killed_worker_is_submitted_again_and_finishes(workers):
    workers.jobs.submit(Job("slow", "s", {}))
    victim = workers.start("--alive=3")
    workers.until(lambda: workers.log() == ["begun"])
    workers.until(lambda: bool(workers.jobs.workers()))
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    workers.go()
    workers.start("--alive=3")
    workers.until(lambda: workers.jobs.submit(Job("slow", "s", {})))
    workers.until(lambda: len(workers.log()) == 3)
    assert workers.log()[1] == "begun"
    assert workers.log()[2].startswith("done by test-")


def test_sigterm_lets_the_job_finish_and_stops(workers):
    workers.jobs.submit(Job("slow", "s", {}))
    process = workers.start()
    workers.until(lambda: workers.log() == ["begun"])
    process.terminate()
    workers.until(lambda: "stopping after the current job" in workers.errors())
    assert process.poll() is None
    workers.go()
    assert process.wait(20) == 0
    assert [line.split()[0] for line in workers.log()] == ["begun", "done", "left"]
    assert workers.jobs.workers() == []


def test_a_second_signal_stops_at_once_and_the_job_counts_as_not_failed(workers):
    workers.jobs.submit(Job("slow", "s", {}))
    process = workers.start()
    workers.until(lambda: workers.log() == ["begun"])
    process.terminate()
    time.sleep(1.2)  # a signal repeated within a second is taken for the same one
    process.terminate()
    process.wait(20)
    assert workers.log() == ["begun", "left"]
    assert workers.jobs.submit(Job("slow", "s", {}))


def test_an_idle_worker_stops_at_once(workers):
    process = workers.start()
    workers.until(lambda: bool(workers.jobs.workers()))
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0


def test_work_goes_on_after_kill_9_of_valkey_amid_a_job(tmp_path: Path):
    """And (10-E4) the log says in a line that Redis is gone, and in another that it is back; RQ wrote stack traces."""
    folder = tmp_path / "w"
    folder.mkdir()
    with Valkey(tmp_path / "v") as server:
        workers = Workers(server.url, folder)
        workers.jobs.submit(Job("slow", "s", {}))
        workers.start()
        workers.until(lambda: workers.log() == ["begun"])
        workers.jobs.submit(Job("quick", "q", {"word": "waited"}))
        server.kill9()
        workers.go()
        workers.until(lambda: workers.log()[-1].startswith("done"))
        server.start()
        workers.until(lambda: "waited" in workers.log())
        workers.until(lambda: workers.jobs.jobs() == [])
        assert workers.jobs.submit(Job("quick", "q", {"word": "again"}))
        workers.until(lambda: "again" in workers.log())
        workers.until(lambda: "works again" in workers.errors())
        said = workers.errors()
        assert "Traceback" not in said and "quitting" not in said and "retrying in" not in said, said
        assert said.count("trying again until it works") == 1, said
        workers.close()


def test_a_worker_waits_for_a_valkey_that_starts_later(tmp_path: Path):
    server = Valkey(tmp_path / "v")
    workers = Workers(server.url, tmp_path)
    workers.start()
    workers.until(lambda: "Redis does not answer" in workers.errors())
    with server:
        workers.until(lambda: bool(workers.jobs.workers()))
        workers.close()


def test_the_key_of_a_fetched_job_is_asked_for_until_redis_answers(workers, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = workers.jobs
    running = Running(jobs, WorkerView("w", "host", 1, "", "", 0.0))
    answers: list[Exception] = [QueueDown("not now"), QueueDown("not yet")]
    start = running.start

    def sometimes(key: str, job: str) -> bool:
        if answers:
            raise answers.pop()
        return start(key, job)

    monkeypatch.setattr(running, "start", sometimes)
    monkeypatch.setattr(runtime, "BEAT_SECONDS", 0.01)
    stopping = threading.Event()
    worker = QueueWorker(running, jobs.redis, stopping)
    assert worker._started("k", "its-id")
    assert answers == [] and [(view.key, view.state) for view in jobs.jobs()] == [("k", "running")]
    answers.append(QueueDown("down, and we are told to stop"))
    stopping.set()
    assert not worker._started("other", "another-id")


class Evil:
    """Unpickling it makes a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (Path.touch, (self.file,))


def test_a_pickle_in_the_queue_is_not_executed(workers, tmp_path: Path):
    workers.jobs.submit(Job("quick", "a", {"word": "never"}))
    job_id = workers.jobs.redis.get(at("queued", "a")).decode()
    poison = pickle.dumps(Evil(tmp_path / "owned"))
    for field in ("data", "meta"):
        workers.jobs.redis.hset(f"rq:job:{job_id}", field, poison)
        workers.jobs.redis.rpush("rq:queue:labelqueue", job_id)
    workers.jobs.submit(Job("quick", "b", {"word": "next"}))
    workers.start()
    workers.until(lambda: "next" in workers.log())
    assert not (tmp_path / "owned").exists()
    assert "never" not in workers.log()


def test_the_queue_cannot_name_other_functions(workers, tmp_path: Path):
    queue_key, victim = "rq:queue:labelqueue", str(tmp_path / "owned")
    job = RqJob.create(
        "os.mkdir", args=[victim], connection=workers.jobs.redis, serializer=JSONSerializer, origin="labelqueue"
    )
    job.save()
    workers.jobs.redis.rpush(queue_key, job.id)
    workers.jobs.submit(Job("quick", "b", {"word": "next"}))
    workers.start()
    workers.until(lambda: "next" in workers.log())
    assert not Path(victim).exists()
    assert "which is no job" in workers.errors()


def test_one_tick_a_second_finds_events_that_no_job_was_submitted_for(workers):
    workers.start()
    workers.jobs.push_events([{"project": 99, "gone": "tasks", "ids": [1], "at": 1.0}])
    workers.until(lambda: workers.jobs.backlog() == 0)


def test_what_is_amiss_is_said_once_when_it_begins_and_once_when_all_parts_are_well_again(capfd) -> None:
    """(10-E4) Each part of a worker said each time that Redis did not answer, and none that it was back."""
    troubles = Troubles()
    for _ in range(3):
        troubles.met("beat", QueueDown("Redis does not answer; start it"))
        troubles.met("tick", QueueDown("Redis does not answer; start it"))
    troubles.met("tick", StateDown("the disk is full; make room on it"))
    troubles.over("beat")
    assert "works again" not in capfd.readouterr().out.replace("until it works", "")
    troubles.over("tick")
    troubles.over("tick")
    said = capfd.readouterr().out
    assert said.count("works again") == 2 and "Redis" in said and "the database" in said


def test_a_worker_waits_for_its_database_and_gives_up_on_a_wrong_setting(valkey):
    answers: list[Exception] = [StateDown("not yet"), BadSetting("DATABASE_URL is wrong")]

    def factory() -> Services:
        raise answers.pop(0)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(BadSetting):
        run_worker(factory, valkey.url, burst=True)
    assert answers == []
    assert signal.getsignal(signal.SIGTERM) is before

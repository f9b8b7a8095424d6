"""The queue's port on a real Valkey: one job a key, events, progress, outages."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import (
    AuthenticationError,
    BusyLoadingError,
    Connection,
    ConnectionError,
    ReadOnlyError,
    ResponseError,
)
from redis.exceptions import TimeoutError as RedisTimeout
from rq.job import Job
from rq.serializers import JSONSerializer

from backend.adapters.queue.jobs import QUEUES, RqJobs, at, current
from backend.adapters.queue.running import Running, one_line
from backend.adapters.queue.values import in_words
from backend.core import jobs as work
from backend.core.domain import WorkerView
from backend.core.errors import QueueDown, UserError
from tests.harness.valkey import Valkey


@pytest.fixture
def jobs(valkey: Valkey) -> Iterator[RqJobs]:
    opened = RqJobs(valkey.url)
    opened.redis.flushall()
    yield opened
    opened.redis.close()


@pytest.fixture
def running(jobs: RqJobs) -> Running:
    return Running(jobs, WorkerView("w1", "host", 7, "", "", 0.0))


@pytest.fixture(autouse=True)
def no_job() -> Iterator[None]:
    """A test that stops amid a job leaves none behind for the next."""
    yield
    current.key = ""


def pop(jobs: RqJobs, queue: str = "labelqueue") -> str:
    """Take the next job's id off the queue, as a worker does."""
    return jobs.redis.lpop(f"rq:queue:{queue}").decode()


def lose_the_next_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis does what it is asked next, but its reply comes when nobody waits for it any more."""
    read, lost = Connection.read_response, []

    def late(self: Connection, *given: Any, **named: Any) -> Any:
        reply = read(self, *given, **named)
        if not lost:
            lost.append(reply)
            raise RedisTimeout("too late")
        return reply

    monkeypatch.setattr(Connection, "read_response", late)


def queued(jobs: RqJobs) -> list[int]:
    return [jobs.redis.llen(f"rq:queue:{name}") for name in QUEUES]


def test_a_key_is_queued_once(jobs):
    assert jobs.submit(work.cycle(1, "x"))
    assert not jobs.submit(work.cycle(1, "y"))
    assert jobs.submit(work.cycle(2, "x"))
    assert queued(jobs) == [2, 0, 0]


def test_queues_follow_urgency_and_kind(jobs):
    jobs.submit(work.embed(1, 0))
    jobs.submit(work.publish(1))
    jobs.submit(work.absorb())
    assert queued(jobs) == [1, 1, 1]


def test_payloads_are_json(jobs):
    jobs.submit(work.embed(1, 3))
    job = Job.fetch(pop(jobs, "labelqueue-embed"), connection=jobs.redis, serializer=JSONSerializer)
    assert (job.func_name, job.kwargs, job.args) == ("backend.worker.jobs.embed", {"project": 1, "slot": 3}, [])


def test_a_running_key_is_not_queued_again_until_it_ends(jobs, running):
    jobs.submit(work.absorb())
    assert running.start("absorb", pop(jobs))
    assert not jobs.submit(work.absorb())
    running.end("absorb", None)
    assert jobs.submit(work.absorb())


def test_a_key_runs_only_once_at_a_time(jobs, running):
    other = Running(jobs, WorkerView("w2", "host", 8, "", "", 0.0))
    assert running.start("absorb", "a")
    assert not other.start("absorb", "b")
    running.end("absorb", None)
    assert other.start("absorb", "b")


def test_a_job_that_a_dead_worker_popped_is_submitted_again(jobs):
    jobs.submit(work.absorb())
    pop(jobs)
    assert jobs.submit(work.absorb())
    assert queued(jobs) == [0, 1, 0]


def test_a_running_key_dies_with_its_worker(jobs, running):
    running.start("absorb", "a")
    running.beat()
    for kind, name in (("running", "absorb"), ("worker", "w1")):
        assert 0 < jobs.redis.ttl(at(kind, name)) <= 15
    assert [(worker.name, worker.job) for worker in jobs.workers()] == [("w1", "absorb")]
    jobs.redis.delete(at("worker", "w1"), at("running", "absorb"))  # 15 seconds later
    assert jobs.workers() == []
    assert jobs.submit(work.absorb())


def test_a_failed_key_backs_off_longer_each_time_and_forgets_it_on_success(jobs, running):
    waits = []
    for _ in range(10):
        running.start("sync:1", "a")
        running.end("sync:1", UserError("no such thing"))
        assert not jobs.submit(work.sync(1))
        waits.append(jobs.redis.ttl(at("backoff", "sync:1")))
        jobs.redis.delete(at("backoff", "sync:1"))
    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    running.start("sync:1", "a")
    running.end("sync:1", None)
    assert jobs.submit(work.sync(1))
    assert jobs.redis.exists(at("failed", "sync:1")) == 0


def test_people_see_running_then_queued_then_failed_jobs(jobs, running):
    for job in (work.sync(4).at_once, work.cycle(4, "x"), work.publish(4)):
        jobs.submit(job)
    running.start("sync:4", pop(jobs, "labelqueue-urgent"))
    running.end("sync:4", UserError("token of the wrong kind\nmore"))
    running.start("cycle:4", pop(jobs, "labelqueue-urgent"))
    jobs.progress(64, 512)
    first, second, third = jobs.jobs()
    assert (first.key, first.name, first.project, first.state, first.done, first.total) == (
        "cycle:4",
        "cycle",
        4,
        "running",
        64,
        512,
    )
    assert (second.key, second.state) == ("publish:4", "queued")
    assert (third.name, third.state, third.project, third.error) == ("sync", "failed", 4, "token of the wrong kind")
    assert abs((first.since or 0) - time.time()) < 10
    running.end("cycle:4", None)
    assert [view.key for view in jobs.jobs()] == ["publish:4", "sync:4"]


def test_progress_is_written_at_most_four_times_a_second_and_at_the_end(jobs, running, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("backend.adapters.queue.jobs.time.time", lambda: clock[0])
    running.start("embed:1:0", "a")
    seen = []
    for done in range(0, 110, 10):
        jobs.progress(done, 100)
        seen.append(jobs.jobs()[0].done)
        clock[0] += 0.1
    assert seen == [0, 0, 0, 30, 30, 30, 60, 60, 60, 90, 100]
    assert jobs.jobs()[0].rate == pytest.approx(100, rel=0.01)
    running.end("embed:1:0", None)


def test_progress_outside_a_job_has_no_effect(jobs):
    jobs.progress(1, 2)
    assert jobs.redis.keys("*") == []


def test_events_come_out_in_order_and_stay_until_they_are_done(jobs):
    for number in range(5):
        jobs.push_events([{"n": number}])
    with pytest.raises(KeyError), jobs.take_events(3) as events:
        raise KeyError
    assert jobs.backlog() == 5
    with jobs.take_events(3) as events:
        assert [event["n"] for event in events] == [0, 1, 2]
        assert jobs.backlog() == 5
    with jobs.take_events(3) as events:
        assert [event["n"] for event in events] == [3, 4]
    assert jobs.backlog() == 0


def test_events_have_one_taker_at_a_time(jobs):
    jobs.push_events([{"n": 1}])
    with jobs.take_events(9) as mine, jobs.take_events(9) as theirs:
        assert (len(mine), theirs) == (1, [])
    with jobs.take_events(9) as empty:
        assert empty == []


def test_a_taker_that_lost_its_lock_removes_nothing(jobs):
    jobs.push_events([{"n": 1}])
    with jobs.take_events(9):
        jobs.redis.delete(at("taking"))  # 120 seconds later
    with jobs.take_events(9) as again:
        assert again == [{"n": 1}]


def test_the_oldest_events_go_when_there_are_too_many(jobs, monkeypatch):
    monkeypatch.setattr("backend.adapters.queue.jobs.MOST_EVENTS", 3)
    for number in range(5):
        jobs.push_events([{"n": number}])
    with jobs.take_events(9) as events:
        assert [event["n"] for event in events] == [2, 3, 4]


def test_a_burst_of_events_keeps_them_all_and_queues_one_look(jobs):
    for number in range(200):
        jobs.push_events([{"n": number}])
        jobs.submit(work.absorb())
    assert (jobs.backlog(), queued(jobs)) == (200, [0, 1, 0])


def test_a_reply_that_comes_too_late_takes_no_job_from_its_worker(jobs, running, monkeypatch):
    running.start("before", "a")
    running.end("before", None)  # Redis knows the script from now on
    jobs.submit(work.absorb())
    job_id = pop(jobs)
    lose_the_next_reply(monkeypatch)
    assert running.start("absorb", job_id)
    assert [(view.key, view.state) for view in jobs.jobs()] == [("absorb", "running")]


def test_a_reply_that_comes_too_late_loses_no_events(jobs, monkeypatch):
    with jobs.take_events(9):
        """Redis knows the script from now on."""
    jobs.push_events([{"n": 1}])
    lose_the_next_reply(monkeypatch)
    with jobs.take_events(9) as events:
        assert events == [{"n": 1}]
    assert jobs.backlog() == 0


def test_only_the_first_caller_hits_within_the_time(jobs):
    assert jobs.hit("tick", 0.05)
    assert not jobs.hit("tick", 0.05)
    assert jobs.hit("other", 1)
    deadline = time.monotonic() + 5
    while not jobs.hit("tick", 0.05):
        assert time.monotonic() < deadline


def test_redis_down_is_said_without_the_password():
    jobs = RqJobs("redis://me:geheim@127.0.0.1:1/0")
    for call in (
        jobs.ping,
        jobs.backlog,
        jobs.jobs,
        lambda: jobs.push_events([{}]),
        lambda: jobs.submit(work.absorb()),
        lambda: jobs.hit("x", 1),
    ):
        with pytest.raises(
            QueueDown, match=r"does not answer at redis://me:\*\*\*@127\.0\.0\.1:1/0 .*start it"
        ) as caught:
            call()
        assert "geheim" not in str(caught.value)


def test_queued_jobs_and_events_survive_kill_9_of_valkey(tmp_path: Path):
    with Valkey(tmp_path) as server:
        jobs = RqJobs(server.url)
        jobs.submit(work.cycle(1, "x"))
        jobs.push_events([{"n": 1}])
        server.kill9()
        with pytest.raises(QueueDown):
            jobs.ping()
        server.start()
        assert (queued(jobs), jobs.backlog()) == ([1, 0, 0], 1)
        assert not jobs.submit(work.cycle(1, "x"))
        jobs.redis.close()


def test_an_item_that_is_no_event_stops_no_other(jobs):
    """(10-E4) One non-JSON item in labelqueue:events blocked absorption for ever."""
    jobs.push_events([{"n": 1}])
    jobs.redis.rpush("labelqueue:events", b"not json", b"\xff", b"[1]", b"7", b"[" * 90_000)
    jobs.push_events([{"n": 2}])
    with jobs.take_events(10) as events:
        assert events == [{"n": 1}, {"n": 2}]
    assert jobs.backlog() == 0


def test_what_others_wrote_of_workers_and_jobs_hides_none_of_ours(jobs, running):
    """(10-E4) `labelqueue status` was a stack trace."""
    running.beat()
    jobs.submit(work.cycle(1, "x"))
    jobs.redis.sadd("labelqueue:workers", "newer", "text", b"\xff")
    jobs.redis.set("labelqueue:worker:newer", json.dumps({"name": "newer", "more": 1}))
    jobs.redis.set("labelqueue:worker:text", "hello")
    jobs.redis.sadd("labelqueue:keys", "sync:2", b"\xff")
    jobs.redis.hset("labelqueue:failed:sync:2", mapping={"since": "yesterday", "error": "x"})
    assert [view.name for view in jobs.workers()] == [running.view.name]
    assert [view.key for view in jobs.jobs()] == ["cycle:1"]


def test_a_key_of_another_type_is_told_with_the_cure(jobs):
    """(10-E4) "Redis does not answer" was wrong: it answers."""
    jobs.redis.set("labelqueue:events", "mine")
    for call in (jobs.backlog, lambda: jobs.push_events([{}]), lambda: jobs.take_events(1).__enter__()):
        with pytest.raises(QueueDown, match=r"holds something else under a key of ours .*WRONGTYPE.*labelqueue:\*"):
            call()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ResponseError("MISCONF Errors writing to the AOF file: No space left on device"), "make room on the disk"),
        (ResponseError("OOM command not allowed when used memory > 'maxmemory'."), "out of memory"),
        (ReadOnlyError("READONLY You can't write against a read only replica."), "set REDIS_URL to the primary"),
        (AuthenticationError("invalid username-password pair"), "correct user and password in REDIS_URL"),
        (ResponseError("NOAUTH Authentication required."), "correct user and password in REDIS_URL"),
        (BusyLoadingError("loading the dataset in memory"), "still loading"),
        (ResponseError("unknown command 'LMOVE'"), "is it Redis 6.2"),
        (ConnectionError("Error 111"), "does not answer at redis://h"),
    ],
)
def test_redis_that_refuses_is_not_called_down(error, told):
    """(10-E4) A full disk was told as "Redis does not answer; start it"."""
    assert told in in_words(error, "redis://h") and (told.startswith("does not") or "does not answer" not in told)


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (ValueError("first\nsecond"), "ValueError: first"),
        (KeyError(), "KeyError"),
        (UserError("unknown name"), "unknown name"),
        (OSError("GET https://me:pass@h/x?sig=abc&k=1 failed"), "OSError: GET https://me:***@h/x?... failed"),
        (
            OSError("header Authorization: Token 0123456789abcdef was refused"),
            "OSError: header Authorization: Token ... was refused",
        ),
        (OSError("x" * 1000), "OSError: " + "x" * 291),
    ],
)
def test_errors_for_people_are_one_line_without_credentials(error, shown):
    assert one_line(error) == shown


def ours(jobs: RqJobs) -> dict[str, int]:
    """All keys of ours with their seconds to live; -1: for ever."""
    return {key.decode(): jobs.redis.ttl(key) for key in jobs.redis.keys("*")}


def test_a_caller_waits_once_until_it_is_settled_and_is_then_not_heard_for_a_while(jobs):
    """(10-A1)"""
    assert jobs.knock("7.1", {"batch_size": 3}, most=9) == "kept"
    assert jobs.knock("7.1", {"batch_size": 4}, most=9) == "heard"
    (caller,) = jobs.callers()
    assert (caller.key, caller.extra) == ("7.1", {"batch_size": 3}) and abs(caller.at - time.time()) < 60
    jobs.settle("7.1", 300.0)
    assert jobs.callers() == [] and jobs.knock("7.1", {}, most=9) == "heard"
    jobs.redis.zadd(at("settled"), {"7.1": time.time() - 1})  # its time is over
    assert jobs.knock("7.1", {}, most=9) == "kept"
    jobs.settle("7.1", 0.0)
    assert jobs.knock("7.1", {}, most=9) == "kept"


def test_ten_thousand_callers_leave_two_keys_that_expire(jobs):
    """(10-A1) Waiting and remembered ones together are bounded; so is the work that they cause."""
    heard = {}
    for number in range(10_000):
        key = f"{number}.1"
        said = jobs.knock(key, {}, most=100)
        heard[said] = heard.get(said, 0) + 1
        if said == "kept" and number % 2:
            jobs.settle(key, 300.0)
    assert heard == {"kept": 100, "full": 9_900} and len(jobs.callers()) == 50
    left = ours(jobs)
    assert left.keys() == {at("callers"), at("settled")} and all(0 < seconds <= 86_400 for seconds in left.values())


def test_settling_one_caller_does_not_shorten_the_memory_of_another(jobs):
    jobs.settle("1.1", 300.0)
    jobs.settle("2.1", 5.0)
    assert jobs.redis.ttl(at("settled")) > 200

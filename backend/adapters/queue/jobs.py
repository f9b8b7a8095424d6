"""The work queue on RQ and Redis or Valkey.

The database is the truth of what is due; a job here is a nudge to look. So a nudge may be lost or doubled, but one key
is never queued twice, never runs twice at once, and waits a while after a failure. Payloads are JSON, never pickles.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from uuid import uuid4

from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq import Queue
from rq.job import Job as RqJob
from rq.serializers import JSONSerializer

from backend.adapters.queue.values import events_of, in_words, job_of, texts_of, worker_of
from backend.core.domain import Caller, JobView, Knock, WorkerView
from backend.core.errors import QueueDown
from backend.core.jobs import Job, Lane
from backend.core.json_values import JSON
from backend.core.text.masking import mask_url

PREFIX = "labelqueue:"
URGENT, PLAIN, EMBED = "labelqueue-urgent", "labelqueue", "labelqueue-embed"
LANES: Mapping[Lane, str] = {"urgent": URGENT, "plain": PLAIN, "embed": EMBED}
QUEUES = tuple(LANES.values())
"""A worker looks at the first before each job; the others take turns."""

FUNCTIONS = "backend.worker.jobs."
MOST_EVENTS = 1_000_000
DAY = 86_400
JOB_TIMEOUT = 6 * 3600
TAKE_SECONDS = 120
"""A taker of events that says nothing for so long is dead."""

PROGRESS_SECONDS = 0.25

# KEYS: running, backoff, queued, the queues. ARGV: new job id, seconds. 1: the key is ours to enqueue.
# A queued id that is in no queue was popped by a worker that died, or never got there: it is taken over.
_RESERVE = """
if redis.call('EXISTS', KEYS[1], KEYS[2]) > 0 then return 0 end
local id = redis.call('GET', KEYS[3])
if id then
  for i = 4, #KEYS do
    if redis.call('LPOS', KEYS[i], id) then return 0 end
  end
end
redis.call('SET', KEYS[3], ARGV[1], 'EX', ARGV[2])
return 1
"""

# KEYS: lock, taken, events. ARGV: token, seconds, limit. What a dead taker had taken comes first.
# The lock may be ours already: a reply that comes too late makes the client ask again.
_TAKE = """
local taker = redis.call('GET', KEYS[1])
if taker and taker ~= ARGV[1] then return {} end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
if redis.call('LLEN', KEYS[2]) == 0 then
  for _ = 1, tonumber(ARGV[3]) do
    if not redis.call('LMOVE', KEYS[3], KEYS[2], 'LEFT', 'RIGHT') then break end
  end
end
return redis.call('LRANGE', KEYS[2], 0, -1)
"""

# KEYS: lock, taken. ARGV: token, done. A taker that lost its lock leaves everything to the next one.
_TAKEN = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '1' then redis.call('DEL', KEYS[2]) end
return redis.call('DEL', KEYS[1])
"""


# KEYS: callers, settled. ARGV: key, text, now, most, seconds.
# What is settled counts until its time is over, so that neither both together nor the work they cause can grow.
_KNOCK = """
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[3])
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 or redis.call('ZSCORE', KEYS[2], ARGV[1]) then return 0 end
if redis.call('HLEN', KEYS[1]) + redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[4]) then return -1 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[5])
return 1
"""
KNOCKED: Mapping[int, Knock] = {1: "kept", 0: "heard", -1: "full"}


class _Current(threading.local):
    """The job that this thread runs, for `progress`."""

    key: str = ""
    started: tuple[float, int] | None = None  # when, and at how many, counting began
    written: float = 0.0


current = _Current()


class RqJobs:
    """Implements `ports.Jobs`. Opening it asks nothing of Redis; each call waits for at most `timeout` seconds."""

    def __init__(self, redis_url: str, *, timeout: float = 0.5) -> None:
        retry = Retry(NoBackoff(), 1)  # once, at once: a pooled connection may be older than the server
        # Any: the client's annotations mix the answers of commands with those of pipelines
        self.redis: Any = Redis.from_url(
            redis_url, socket_connect_timeout=min(timeout, 0.3), socket_timeout=timeout, retry=retry
        )
        self._where = mask_url(redis_url)
        self._queues = {
            name: Queue(name, connection=self.redis, serializer=JSONSerializer, default_timeout=JOB_TIMEOUT)
            for name in QUEUES
        }
        self._reserve = self.redis.register_script(_RESERVE)
        self._take = self.redis.register_script(_TAKE)
        self._taken = self.redis.register_script(_TAKEN)
        self._knock = self.redis.register_script(_KNOCK)

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Turns Redis' errors into `QueueDown`."""
        try:
            yield
        except RedisError as error:
            raise self.down(error) from error

    def down(self, error: RedisError) -> QueueDown:
        """The client's error as ours."""
        return QueueDown(in_words(error, self._where))

    def submit(self, job: Job) -> bool:
        """Enqueue `backend.worker.jobs.<name>(**arguments)`; False if the key waits, runs or backs off.

        Cost: two round trips.
        """
        queue = self._queues[LANES[job.lane]]
        job_id, key = uuid4().hex, job.key
        keys = [at("running", key), at("backoff", key), at("queued", key)]
        with self.answering():
            if not self._reserve([*keys, *(each.key for each in self._queues.values())], [job_id, DAY]):
                return False
            enqueued = RqJob.create(
                FUNCTIONS + job.name,
                kwargs=dict(job.arguments),
                id=job_id,
                origin=queue.name,
                meta={"key": key},
                description=f"{job.name} {key}",
                result_ttl=0,
                failure_ttl=DAY,
                timeout=JOB_TIMEOUT,
                connection=self.redis,
                serializer=JSONSerializer,
            )
            with self.redis.pipeline() as pipeline:
                queue.enqueue_job(enqueued, pipeline=pipeline)  # first: RQ begins the transaction itself
                pipeline.sadd(at("keys"), key)
                about = {"name": job.name, "project": job.arguments.get("project") or 0, "since": time.time()}
                pipeline.delete(at("info", key))
                pipeline.hset(at("info", key), mapping=about)
                pipeline.expire(at("info", key), DAY)
                pipeline.execute()
        return True

    def push_events(self, events: Sequence[Mapping[str, object]]) -> None:
        """Append to the list of events, whose oldest are dropped beyond a million. One round trip."""
        if not events:
            return
        with self.answering(), self.redis.pipeline() as pipeline:
            pipeline.rpush(at("events"), *[json.dumps(event) for event in events])
            pipeline.ltrim(at("events"), -MOST_EVENTS, -1)
            pipeline.execute()

    @contextmanager
    def take_events(self, limit: int) -> Iterator[list[dict[str, JSON]]]:
        """The oldest events, removed when the block ends without an error; [] while another one takes.

        Items that are no JSON objects are passed over, and removed with the others.
        """
        lock, taken, token = at("taking"), at("taken"), uuid4().hex
        with self.answering():
            raw = self._take([lock, taken, at("events")], [token, TAKE_SECONDS, limit])
        done = "0"
        try:
            yield events_of(raw)
            done = "1"
        finally:
            with self.answering():
                self._taken([lock, taken], [token, done])

    def backlog(self) -> int:
        """Events not yet taken to the end."""
        with self.answering(), self.redis.pipeline(transaction=False) as pipeline:
            pipeline.llen(at("events")).llen(at("taken"))
            return sum(pipeline.execute())

    def knock(self, key: str, extra: Mapping[str, JSON], *, most: int) -> Knock:
        """Keep an unknown project's call for a day at most; see `ports.Jobs.knock`. One round trip."""
        now = time.time()
        text = json.dumps({"extra": dict(extra), "at": now})
        with self.answering():
            return KNOCKED[self._knock([at("callers"), at("settled")], [key, text, now, most, DAY])]

    def callers(self) -> list[Caller]:
        """Oldest first."""
        with self.answering():
            kept = self.redis.hgetall(at("callers"))
        found = [Caller(key=key.decode(), **json.loads(text)) for key, text in kept.items()]
        return sorted(found, key=lambda caller: caller.at)

    def settle(self, key: str, seconds: float) -> None:
        """A caller waits no longer, and is not heard again for so long."""
        with self.answering(), self.redis.pipeline() as pipeline:
            if seconds > 0:
                pipeline.zadd(at("settled"), {key: time.time() + seconds})
                pipeline.expire(at("settled"), DAY)
            pipeline.hdel(at("callers"), key)
            pipeline.execute()

    def progress(self, done: int, total: int) -> None:
        """Report on the job that this thread runs, at most four times a second; no effect outside a job."""
        now = time.time()
        if not current.key:
            return
        if current.started is None:
            current.started = (now, done)
        if now - current.written < PROGRESS_SECONDS and done < total:
            return
        current.written = now
        since, before = current.started
        rate = (done - before) / (now - since) if now > since else 0.0
        with suppress(RedisError):  # nobody can look now; the job itself need not stop
            self.redis.hset(at("info", current.key), mapping={"done": done, "total": total, "rate": rate})

    def jobs(self) -> list[JobView]:
        """Running ones first, then queued, then failed."""
        with self.answering():
            keys = texts_of(self.redis.smembers(at("keys")))
            with self.redis.pipeline(transaction=False) as pipeline:
                for key in keys:
                    pipeline.exists(at("running", key)).exists(at("queued", key))
                    pipeline.hgetall(at("info", key)).hgetall(at("failed", key))
                answers = pipeline.execute()
            views, gone = [], []
            for n, key in enumerate(keys):
                view = job_of(key, *answers[4 * n : 4 * n + 4])
                views.append(view) if view else gone.append(key)
            if gone:
                self.redis.srem(at("keys"), *gone)
        return sorted(views, key=lambda view: ("running", "queued", "failed").index(view.state))

    def workers(self) -> list[WorkerView]:
        """Those that gave a sign of life within the last 15 seconds."""
        with self.answering():
            names = texts_of(self.redis.smembers(at("workers")))
            beats = self.redis.mget([at("worker", name) for name in names]) if names else []
            dead = [name for name, beat in zip(names, beats, strict=True) if beat is None]
            if dead:
                self.redis.srem(at("workers"), *dead)
        return [view for beat in beats if beat is not None and (view := worker_of(beat))]

    def ping(self) -> None:
        """Raises `QueueDown` unless Redis answers."""
        with self.answering():
            self.redis.ping()

    def hit(self, key: str, seconds: float) -> bool:
        """True for the first caller within `seconds`, over all processes."""
        with self.answering():
            return bool(self.redis.set(at("hit", key), 1, nx=True, px=max(1, int(seconds * 1000))))


def at(kind: str, key: str = "") -> str:
    """The Redis key of something of ours."""
    return PREFIX + kind + (f":{key}" if key else "")

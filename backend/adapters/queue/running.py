"""The worker's half of the queue: signs of life, what runs, what failed and how long it must wait."""

from __future__ import annotations

import json
import re
import threading
import time
from dataclasses import asdict, replace

from backend.adapters.queue.jobs import DAY, RqJobs, at, current
from backend.core.domain import WorkerView
from backend.core.errors import LabelQueueError, QueueDown
from backend.core.text.masking import mask_text

ALIVE_SECONDS = 15
"""A worker that says nothing for so long is dead, and its job's key is free."""

LONGEST_BACKOFF = 300
LONGEST_ERROR = 300

# KEYS: queued, running. ARGV: job id, worker, seconds. 1: we run this key now.
# It may be ours already: a reply that comes too late makes the client ask again.
_START = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
local runs = redis.call('GET', KEYS[2])
if runs and runs ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[3])
return 1
"""

# KEYS: running. ARGV: worker.
_STOP = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"

_SECRETS = re.compile(
    r"(?i)(?:(?<=\btoken )|(?<=\bbearer )|(?<=\bbasic ))[\w.+/=-]{16,}"
    r"|(?<=[?&])[^\s'\"]+"  # signatures of presigned addresses
)


class Running:
    """What this worker does now. `beat` comes from a thread of its own, everything else from the thread that works."""

    def __init__(self, jobs: RqJobs, view: WorkerView) -> None:
        self.jobs = jobs
        self._view = view
        self._lock = threading.Lock()
        self._unsaid: list[tuple[str, BaseException | None]] = []  # ends that Redis was not there to hear
        self._start = jobs.redis.register_script(_START)
        self._stop = jobs.redis.register_script(_STOP)

    @property
    def view(self) -> WorkerView:
        """What other processes see of us."""
        return self._view

    def set_device(self, device: str) -> None:
        """Say on what we compute, once that is known."""
        self._view = replace(self._view, device=device)

    def beat(self) -> None:
        """Stay alive for another while, with the key that we run."""
        with self._lock, self.jobs.answering(), self.jobs.redis.pipeline() as pipeline:
            view = replace(self._view, seen_at=time.time())
            pipeline.sadd(at("workers"), view.name)
            pipeline.set(at("worker", view.name), json.dumps(asdict(view)), ex=ALIVE_SECONDS)
            if view.job:
                pipeline.set(at("running", view.job), view.name, ex=ALIVE_SECONDS)
            pipeline.execute()
            while self._unsaid:
                key, error = self._unsaid[0]
                if key != view.job:
                    self._say_end(key, error)
                self._unsaid.pop(0)

    def start(self, key: str, job_id: str) -> bool:
        """Take the key; False if it runs elsewhere."""
        keys = [at("queued", key), at("running", key)]
        with self._lock, self.jobs.answering():
            if not self._start(keys, [job_id, self._view.name, ALIVE_SECONDS]):
                return False
            self._view = replace(self._view, job=key)
        current.key, current.started, current.written = key, None, 0.0
        with self.jobs.answering(), self.jobs.redis.pipeline() as pipeline:
            pipeline.sadd(at("keys"), key)
            pipeline.hset(at("info", key), "since", time.time())
            pipeline.expire(at("info", key), DAY)
            pipeline.execute()
        return True

    def end(self, key: str, error: BaseException | None) -> None:
        """Free the key; after an error only when its back-off is over (2, 4, 8 ... 300 s).

        If Redis does not answer, the next `beat` that reaches it says so.
        """
        current.key = ""
        with self._lock:
            self._view = replace(self._view, job="")
            try:
                with self.jobs.answering():
                    self._say_end(key, error)
            except QueueDown:
                self._unsaid.append((key, error))

    def leave(self) -> None:
        """Say goodbye."""
        with self.jobs.answering():
            self.jobs.redis.delete(at("worker", self._view.name))

    def _say_end(self, key: str, error: BaseException | None) -> None:
        if error is None:
            self.jobs.redis.delete(at("failed", key), at("backoff", key), at("info", key))
        else:
            self._fail(key, error)
        self._stop([at("running", key)], [self._view.name])

    def _fail(self, key: str, error: BaseException) -> None:
        redis = self.jobs.redis
        failures = redis.hincrby(at("failed", key), "count", 1)
        about = {name: value for name, value in redis.hgetall(at("info", key)).items() if name in (b"name", b"project")}
        with redis.pipeline() as pipeline:
            pipeline.hset(at("failed", key), mapping={**about, "error": one_line(error), "since": time.time()})
            pipeline.expire(at("failed", key), DAY)
            pipeline.delete(at("info", key))
            pipeline.set(at("backoff", key), failures, ex=min(2 ** min(failures, 9), LONGEST_BACKOFF))
            pipeline.execute()


def one_line(error: BaseException) -> str:
    """An error for people: one line, no credentials."""
    text = next(iter(str(error).strip().splitlines()), "")
    if not isinstance(error, LabelQueueError):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return _SECRETS.sub("...", mask_text(text))[:LONGEST_ERROR]

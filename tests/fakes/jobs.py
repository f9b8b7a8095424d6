"""A work queue that remembers, and a clock that stands still."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from backend.core.domain import Caller, JobView, Knock, WorkerView
from backend.core.errors import QueueDown
from backend.core.jobs import Job


@dataclass
class FixedClock:
    """Stands still until told."""

    time: float = 1_000_000.0

    def now(self) -> float:
        return self.time


@dataclass
class FakeJobs:
    """Remembers what was submitted; a key waits until `names` is read. `down`: Redis does not answer."""

    submitted: list[Job] = field(default_factory=list)
    waiting: set[str] = field(default_factory=set)
    events: list[dict[str, Any]] = field(default_factory=list)
    hits: set[str] = field(default_factory=set)
    views: list[JobView] = field(default_factory=list)
    crew: list[WorkerView] = field(default_factory=list)
    waiting_callers: dict[str, Caller] = field(default_factory=dict)
    settled: set[str] = field(default_factory=set)  # until the test takes them away
    last_progress: tuple[int, int] = (0, 0)
    down: bool = False
    clock: FixedClock = field(default_factory=FixedClock)

    def submit(self, job: Job) -> bool:
        self.ping()
        if job.key in self.waiting:
            return False
        self.waiting.add(job.key)
        self.submitted.append(job)
        return True

    def names(self) -> list[str]:
        """Names of what was submitted since the last call; all of it counts as done."""
        names = [job.name for job in self.submitted]
        self.submitted.clear()
        self.waiting.clear()
        return names

    def push_events(self, events: Sequence[Mapping[str, Any]]) -> None:
        self.ping()
        self.events += [dict(event) for event in events]

    @contextmanager
    def take_events(self, limit: int) -> Iterator[list[dict[str, Any]]]:
        taken = self.events[:limit]
        yield taken
        del self.events[: len(taken)]

    def backlog(self) -> int:
        self.ping()
        return len(self.events)

    def knock(self, key: str, extra: Mapping[str, Any], *, most: int) -> Knock:
        self.ping()
        if key in self.waiting_callers or key in self.settled:
            return "heard"
        if len(self.waiting_callers) + len(self.settled) >= most:
            return "full"
        self.waiting_callers[key] = Caller(key, json.loads(json.dumps(extra)), self.clock.now())
        return "kept"

    def callers(self) -> list[Caller]:
        self.ping()
        return list(self.waiting_callers.values())

    def settle(self, key: str, seconds: float) -> None:
        self.ping()
        self.waiting_callers.pop(key, None)
        if seconds > 0:
            self.settled.add(key)

    def progress(self, done: int, total: int) -> None:
        self.last_progress = (done, total)

    def jobs(self) -> list[JobView]:
        self.ping()
        return self.views

    def workers(self) -> list[WorkerView]:
        self.ping()
        return self.crew

    def ping(self) -> None:
        if self.down:
            raise QueueDown("Redis does not answer at redis://fake; start it, or set REDIS_URL to where it runs")

    def hit(self, key: str, seconds: float) -> bool:
        fresh = key not in self.hits
        self.hits.add(key)
        return fresh

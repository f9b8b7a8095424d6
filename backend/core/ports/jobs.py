"""The work queue, and the time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from backend.core.domain import Caller, JobView, Knock, WorkerView
from backend.core.jobs import Job
from backend.core.json_values import JSON


class Jobs(Protocol):
    """The work queue. Raises `QueueDown`."""

    def submit(self, job: Job) -> bool:
        """Enqueue the job unless one with its key waits already, runs, or backs off after failures."""
        ...

    def push_events(self, events: Sequence[Mapping[str, object]]) -> None:
        """Keep webhook events for the next `absorb`, in one round trip; about a millisecond."""
        ...

    def take_events(self, limit: int) -> AbstractContextManager[list[dict[str, JSON]]]:
        """The oldest events, removed when the block ends without an error. One taker at a time (others: [])."""
        ...

    def backlog(self) -> int:
        """Events not yet taken."""
        ...

    def knock(self, key: str, extra: Mapping[str, JSON], *, most: int) -> Knock:
        """Keep the call of an unknown project for the workers ("kept").

        "heard": it waits already, or was settled lately; "full": `most` wait or are remembered. Nothing is kept then.
        """
        ...

    def callers(self) -> list[Caller]:
        """Who waits."""
        ...

    def settle(self, key: str, seconds: float) -> None:
        """A caller waits no longer, and is not heard again for so long."""
        ...

    def progress(self, done: int, total: int) -> None:
        """Report on the job that this thread runs; no effect outside a job."""
        ...

    def jobs(self) -> list[JobView]: ...
    def workers(self) -> list[WorkerView]: ...
    def ping(self) -> None: ...
    def hit(self, key: str, seconds: float) -> bool:
        """True for the first caller within `seconds`, over all processes."""
        ...


class Clock(Protocol):
    def now(self) -> float: ...

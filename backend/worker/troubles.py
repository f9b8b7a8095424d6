"""What a worker needs and does not get: said once when it begins and once when it is over, whichever part meets it.

RQ has words of its own for a Redis that is gone, with stack traces: `Hushed` turns them into ours.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Mapping

import structlog
from redis import RedisError

from backend.adapters.queue.jobs import RqJobs
from backend.adapters.queue.running import one_line
from backend.adapters.state import StateDown
from backend.core.errors import LabelStudioDown, QueueDown

log = structlog.get_logger()

NAMES: Mapping[type[BaseException], str] = {
    QueueDown: "Redis",
    StateDown: "the database",
    LabelStudioDown: "Label Studio",
}
RQ_LOG = "rq.worker"


class Troubles:
    """Shared by the threads of a worker; `who` is the part that met a trouble, and that must find it gone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._met: dict[str, tuple[float, set[str]]] = {}  # what: (since when, who met it)

    def met(self, who: str, error: BaseException) -> None:
        """Say it unless it is known; it is tried again."""
        what = NAMES.get(type(error), one_line(error))
        with self._lock:
            new = what not in self._met
            self._met.setdefault(what, (time.monotonic(), set()))[1].add(who)
        if new:
            log.warning("something is amiss; trying again until it works", error=one_line(error))

    def over(self, who: str) -> None:
        """Say what is well again."""
        with self._lock:
            gone = []
            for what, (since, parts) in list(self._met.items()):
                parts.discard(who)
                if not parts:
                    del self._met[what]
                    gone.append((what, round(time.monotonic() - since, 1)))
        for what, seconds in gone:
            log.info("works again", what=what, seconds=seconds)


class Hushed(logging.Filter):
    """On RQ's log: what it says of a Redis that is gone is said in our words, once."""

    def __init__(self, troubles: Troubles, jobs: RqJobs) -> None:
        super().__init__()
        self._troubles, self._jobs = troubles, jobs

    def filter(self, record: logging.LogRecord) -> bool:
        error = sys.exc_info()[1]  # RQ speaks while it handles the error
        if not isinstance(error, RedisError):
            return True
        self._troubles.met("rq", self._jobs.down(error))
        return False

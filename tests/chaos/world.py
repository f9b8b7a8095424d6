"""What the actors share: the installation, its outages, and a tally of what was done and what came of it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import httpx

from tests.harness.live import Live
from tests.harness.valkey import Valkey

GRACE = 10.0  # seconds after a start within which a request may still fail for the kill before it


@dataclass
class Outages:
    """When something was down, so that a failure at another time is seen as one of its own."""

    _down: int = 0
    _ended: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self) -> None:
        with self._lock:
            self._down += 1

    def end(self) -> None:
        with self._lock:
            self._down -= 1
            self._ended = time.monotonic()

    def since(self, moment: float) -> bool:
        """Whether anything was down at or after `moment`."""
        with self._lock:
            return self._down > 0 or self._ended + GRACE > moment


@dataclass
class World:
    """One project under chaos. All that happens is drawn from `seed`, for each actor apart."""

    live: Live
    valkey: Valkey
    project: int
    seed: int
    labels: dict[int, str]  # the true label of each task that we know of
    outages: Outages = field(default_factory=Outages)
    over: threading.Event = field(default_factory=threading.Event)
    kills: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    strange: list[str] = field(default_factory=list)

    def dice(self, name: str) -> Random:
        return Random(f"{self.seed}:{name}")

    def put(self, path: str, body: object, how: str = "PUT") -> None:
        """Ask something of LabelQueue's API about the project."""
        url = f"{self.live.labelqueue.url}/api/projects/{self.project}/{path}"
        answer = httpx.request(how, url, json=body, timeout=30)
        if not answer.is_success:
            told = f"{how} {path} {body}: {answer.status_code} {answer.text[:300]}"
            raise httpx.HTTPStatusError(told, request=answer.request, response=answer)

    def attempt(self, what: str, action: Callable[[], object]) -> bool:
        """Do something; a refusal in words or an outage is counted, any other failure is strange."""
        began = time.monotonic()
        try:
            action()
        except httpx.HTTPStatusError as error:
            if 400 <= error.response.status_code < 500:
                self.done[f"{what}, refused"] += 1
            else:
                self._failed(what, error, began)
            return False
        except httpx.HTTPError as error:
            self._failed(what, error, began)
            return False
        self.done[what] += 1
        return True

    def _failed(self, what: str, error: Exception, began: float) -> None:
        if self.outages.since(began):
            self.done[f"{what}, lost to a kill"] += 1
        else:
            self.strange.append(f"{what}: {type(error).__name__} {str(error)[:600]}")

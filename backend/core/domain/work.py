"""Jobs and workers, for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from backend.core.json_values import JSON

Knock = Literal["kept", "heard", "full"]


@dataclass(frozen=True, slots=True)
class Caller:
    """An unknown project that called /setup at `at`, with its extra params."""

    key: str
    extra: Mapping[str, JSON]
    at: float


@dataclass(frozen=True, slots=True)
class JobView:
    """A job for people: `state` is "queued", "running" or "failed"."""

    key: str
    name: str
    project: int | None
    state: Literal["queued", "running", "failed"]
    done: int
    total: int
    rate: float  # items a second, 0 if unknown
    since: float | None
    error: str


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A live worker."""

    name: str
    host: str
    pid: int
    device: str
    job: str  # key of the job it is at, or ""
    seen_at: float

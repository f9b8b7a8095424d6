"""Tasks, and what people said of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

TaskState = Literal["pending", "embedded", "failed"]


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotation's part that we learn from. `choice` None: no usable choice (empty, or several)."""

    id: int
    task_id: int
    choice: str | None
    skipped: bool
    updated_at: float


@dataclass(frozen=True, slots=True)
class Deleted:
    """Annotations or tasks that Label Studio says are gone; only ids are known."""

    kind: Literal["annotations", "tasks"]
    ids: tuple[int, ...]
    at: float


@dataclass(frozen=True, slots=True)
class Task:
    """A task as we know it."""

    id: int
    image: str | None
    state: TaskState
    reason: str  # why it failed, else ""
    label: str | None
    skipped: bool
    audit: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """A task leased to one worker. `claims`: earlier ones that ended without a result; `deaths`: their workers'."""

    id: int
    image: str
    claims: int
    deaths: int


@dataclass(frozen=True, slots=True)
class Counts:
    """Tasks of a project by state; `labels` counts tasks by class."""

    tasks: int
    embedded: int
    pending: int
    failed: int
    labeled: int
    skipped: int
    labels: Mapping[str, int]

"""Embed what is claimed and store it, chunk by chunk: first the vectors, then what the database says of the tasks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from backend.core.domain import Claim, Embedded, Failed, FeatureBatch
from backend.core.embedding.pieces import images_come
from backend.core.errors import LabelStudioDown, LabelStudioError
from backend.core.ports import Embedder
from backend.core.renewal import renew
from backend.core.services import Services

MOST_DEATHS = 7  # of workers over a task, all but the first two while it was the only one in hand
MOST_UNANSWERED = 6  # fetches that Label Studio leaves unanswered while it hands out other images
POSTPONED = 10.0  # seconds after the first of them, twice as long after each further one

Item = tuple[int, tuple[str, ...]]
"""A task and the references of its images."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What one worker fills now: a version of a project's features, under leases of `owner`."""

    services: Services
    project: int
    version: int
    owner: str


def sorted_out(piece: Piece, claimed: Sequence[Claim]) -> tuple[list[Item], int]:
    """(what is to embed, how many needed no embedding: stored already, or given up)."""
    services, project, version = piece.services, piece.project, piece.version
    stale = [task.id for task in claimed if task.stale]
    if stale:  # somebody may have stored a vector of the image before, after all of them were dropped
        services.features.remove(project, version, stale)
    again = [task.id for task in claimed if task.claims and not task.stale]
    stored = services.features.present(project, version, again) if again else set()
    lost = {
        task.id: f"its worker died {task.deaths} times while embedding this image, at last with it alone in hand; "
        "look at the image and at the worker's memory, then retry"
        for task in claimed
        if task.deaths >= MOST_DEATHS and task.id not in stored
    }
    services.tasks.finish(project, dict.fromkeys(stored, ""), lost, version=version)
    todo = [(task.id, task.refs) for task in claimed if task.id not in stored and task.id not in lost]
    return todo, len(stored) + len(lost)


def store(piece: Piece, embedder: Embedder, items: Iterable[Item], total: int) -> int:
    """Embed and commit chunk by chunk; returns how many tasks were finished (embedded or failed).

    Raises `LabelStudioError`; what is done stays done.
    """
    services, done = piece.services, 0
    chunk, silent = _Chunk(), list[Failed]()
    try:
        for result in embedder.embed(items):
            if isinstance(result, Failed) and result.unanswered:
                silent.append(result)
                continue
            chunk.add(result)
            if len(chunk) >= services.options.chunk_size:
                counted = _commit(piece, chunk)
                chunk = _Chunk()
                if not counted:  # the leases are lost, or nobody needs the version any more
                    break
                done += counted
                services.jobs.progress(done, total)
    except LabelStudioDown:
        done += _commit(piece, chunk)
        chunk = _Chunk()
        if not silent:
            raise
    except LabelStudioError:
        _commit(piece, chunk)
        raise
    done += _commit(piece, chunk)
    services.jobs.progress(done, total)
    return done + (_put_back(piece, embedder, silent) if silent else 0)


@dataclass(slots=True)
class _Chunk:
    """Results that are not stored yet."""

    good: list[Embedded] = field(default_factory=list)
    bad: list[Failed] = field(default_factory=list)

    def add(self, result: Embedded | Failed) -> None:
        if isinstance(result, Embedded):
            self.good.append(result)
        else:
            self.bad.append(result)

    def __len__(self) -> int:
        return len(self.good) + len(self.bad)

    def ids(self) -> list[int]:
        """Tasks that have a result."""
        return [item.task_id for item in self.good] + [item.task_id for item in self.bad]


def _commit(piece: Piece, chunk: _Chunk) -> int:
    """Store what still counts; returns how many tasks that were.

    The leases are asked right before the vectors are stored: what others hold by now, what shows another image, and
    what a version need not have any more is dropped.
    """
    if not len(chunk):
        return 0
    services, project, version = piece.services, piece.project, piece.version
    held = services.tasks.hold(project, piece.owner, chunk.ids(), services.options.lease, version)
    good = [item for item in chunk.good if item.task_id in held]
    if good:
        batch = FeatureBatch(
            np.array([item.task_id for item in good], np.int64),
            np.stack([item.vector for item in good]),
            [item.digest for item in good],
        )
        services.features.append(project, version, batch)
    services.tasks.finish(
        project,
        {item.task_id: item.digest for item in good},
        {item.task_id: item.reason for item in chunk.bad if item.task_id in held},
        {item.task_id: item.note for item in good if item.note},
        version=version,
    )
    renew.forget_deleted(services, project, version, [item.task_id for item in good])
    return len(held)


def _put_back(piece: Piece, embedder: Embedder, silent: Sequence[Failed]) -> int:
    """Try unanswered images again later; give up those that stay so while others come. Returns how many it gave up.

    Raises `LabelStudioDown` if no image comes at all: then it is no fault of these.
    """
    services, project, version = piece.services, piece.project, piece.version
    if not images_come(services, project, embedder):
        raise LabelStudioDown(silent[-1].reason)
    times = services.tasks.postpone(project, [item.task_id for item in silent], POSTPONED, version)
    lost = {
        item.task_id: f"{item.reason}; tried {times[item.task_id]} times while other images came: "
        "open it in Label Studio, then retry"
        for item in silent
        if times.get(item.task_id, 0) >= MOST_UNANSWERED
    }
    services.tasks.finish(project, {}, lost, version=version)
    return len(lost)

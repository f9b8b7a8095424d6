"""Embed one shard of a project's pending tasks.

The database hands out tasks under leases, the feature store commits whole chunks, and only then are the tasks marked:
a worker killed at any line loses at most one chunk's work, and a chunk that was stored but not marked is recognised.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import structlog

from backend.core.domain import Backbone, Claim, Embedded, Failed, FeatureBatch, Project
from backend.core.domain.training import FeatureSet
from backend.core.embedding.shards import PIECE_SECONDS, images_come, leased, until
from backend.core.errors import LabelStudioDown, LabelStudioError
from backend.core.ports import Embedder
from backend.core.queue import due
from backend.core.renewal import renew
from backend.core.services import Services

log = structlog.get_logger()

OPTIMIZE_EVERY = 60.0  # seconds between two joinings of the feature store's small fragments
MOST_DEATHS = 7  # of workers over a task, all but the first two while it was the only one in hand
MOST_UNANSWERED = 6  # fetches that Label Studio leaves unanswered while it hands out other images
POSTPONED = 10.0  # seconds after the first of them, twice as long after each further one


def embed(services: Services, project_id: int, owner: str) -> int:
    """Claim up to a shard of tasks and embed them; returns how many were finished (embedded or failed).

    No image is begun after `PIECE_SECONDS`; tasks that are claimed singly follow one another until then.
    """
    options = services.options
    if not services.tasks.counts(project_id).pending:
        return 0
    project = services.projects.get(project_id)
    live = services.feature_sets.get(project_id, project.features_version)
    embedder = services.embedder(live.checkpoint)  # before the claim: a task is in hand only while it is worked on
    if not _same_backbone(services, project, embedder.backbone):
        due.nudge(services, services.projects.get(project_id))
        return 0
    began = services.clock.now()
    end = began + PIECE_SECONDS
    done = found = 0
    with leased(services, project_id, owner):
        while claimed := services.tasks.claim(project_id, owner, options.shard_size, options.lease):
            try:
                if services.projects.get(project_id).features_version != live.version:
                    break
                todo, known = _sorted_out(services, live, claimed)
                found += known
                done += _store(services, live, embedder, until(services, end, todo), len(todo))
            finally:
                services.tasks.release(project_id, owner)
            if len(claimed) > 1 or services.clock.now() >= end:
                break
    if done or found:
        _note_rate(services, live, done, services.clock.now() - began)
        log.info("embedded a shard", project=project_id, tasks=done, found_before=found, device=embedder.device)
        if services.jobs.hit(f"optimize:{project_id}", OPTIMIZE_EVERY):
            services.features.optimize(project_id, live.version)
        due.nudge(services, services.projects.get(project_id))
    return done + found


def _sorted_out(
    services: Services, live: FeatureSet, claimed: Sequence[Claim]
) -> tuple[list[tuple[int, tuple[str, ...]]], int]:
    """(what is to embed, how many needed no embedding: stored already, or given up)."""
    again = [task.id for task in claimed if task.claims]
    stored = services.features.present(live.project, live.version, again) if again else set()
    lost = {
        task.id: f"its worker died {task.deaths} times while embedding this image, at last with it alone in hand; "
        "look at the image and at the worker's memory, then retry"
        for task in claimed
        if task.deaths >= MOST_DEATHS and task.id not in stored
    }
    services.tasks.finish(live.project, dict.fromkeys(stored, ""), lost, version=live.version)
    todo = [(task.id, task.refs) for task in claimed if task.id not in stored and task.id not in lost]
    return todo, len(stored) + len(lost)


def _store(
    services: Services, live: FeatureSet, embedder: Embedder, items: Iterable[tuple[int, tuple[str, ...]]], total: int
) -> int:
    """Commit results chunk by chunk: features first, then the tasks' states."""
    good: list[Embedded] = []
    bad: list[Failed] = []
    silent: list[Failed] = []
    done = 0

    def commit() -> None:
        if good:
            batch = FeatureBatch(
                np.array([item.task_id for item in good], np.int64),
                np.stack([item.vector for item in good]),
                [item.digest for item in good],
            )
            services.features.append(live.project, live.version, batch)
        services.tasks.finish(
            live.project,
            {item.task_id: item.digest for item in good},
            {item.task_id: item.reason for item in bad},
            {item.task_id: item.note for item in good if item.note},
            version=live.version,
        )
        renew.forget_deleted(services, live.project, live.version, [item.task_id for item in good])
        good.clear()
        bad.clear()

    try:
        for result in embedder.embed(items):
            if isinstance(result, Failed) and result.unanswered:
                silent.append(result)
                continue
            if isinstance(result, Failed):
                bad.append(result)
            else:
                good.append(result)
            done += 1
            if len(good) + len(bad) >= services.options.chunk_size:
                commit()
                services.jobs.progress(done, total)
    except LabelStudioDown:  # what is done stays done
        commit()
        if not silent:
            raise
    except LabelStudioError:
        commit()
        raise
    commit()
    services.jobs.progress(done, total)
    return done + (_put_back(services, live, embedder, silent) if silent else 0)


def _put_back(services: Services, live: FeatureSet, embedder: Embedder, silent: Sequence[Failed]) -> int:
    """Try unanswered images again later; give up those that stay so while others come. Returns how many it gave up.

    Raises `LabelStudioDown` if no image comes at all: then it is no fault of these.
    """
    if not images_come(services, live.project, embedder):
        raise LabelStudioDown(silent[-1].reason)
    times = services.tasks.postpone(live.project, [item.task_id for item in silent], POSTPONED)
    lost = {
        item.task_id: f"{item.reason}; tried {times[item.task_id]} times while other images came: "
        "open it in Label Studio, then retry"
        for item in silent
        if times.get(item.task_id, 0) >= MOST_UNANSWERED
    }
    services.tasks.finish(live.project, {}, lost, version=live.version)
    return len(lost)


def _note_rate(services: Services, live: FeatureSet, images: int, seconds: float) -> None:
    """Keep images/s of one worker as a moving mean: a full shard counts half of it, a small one less."""
    if images == 0 or seconds <= 0:
        return
    rate = images / seconds
    before = services.feature_sets.get(live.project, live.version).report.get("embed_rate")
    weight = images / (images + services.options.shard_size)
    mean = rate if before is None else (1 - weight) * before + weight * rate
    services.feature_sets.note(live.project, live.version, at=services.clock.now(), embed_rate=mean)


def _same_backbone(services: Services, project: Project, backbone: Backbone) -> bool:
    """Whether the worker's backbone made this version; if not, start the next version, because features never mix.

    Of workers that find out at once one begins the version; of those with two backbones one names an empty project's.
    """
    if not project.backbone:
        project = services.projects.edit(project.id, lambda now: {} if now.backbone else {"backbone": backbone.tag})
    if project.backbone == backbone.tag:
        return True
    log.warning("backbone changed: embedding anew", project=project.id, before=project.backbone, now=backbone.tag)
    version = renew.free_version(services, project.id)
    at = services.clock.now()
    services.feature_sets.begin_plain(project.id, backbone.tag, version=version, over=project.features_version, at=at)
    return False

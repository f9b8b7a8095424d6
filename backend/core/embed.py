"""Embed one shard of a project's pending tasks.

The database hands out tasks under leases, the feature store commits whole chunks, and only then are the tasks marked:
a worker killed at any line loses at most one chunk's work, and a chunk that was stored but not marked is recognised.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import structlog

from backend.core import due, renewal
from backend.core.domain import Backbone, Embedded, Failed, FeatureBatch, Project
from backend.core.errors import LabelStudioError
from backend.core.services import Services
from backend.core.training import FeatureSet

log = structlog.get_logger()

OPTIMIZE_EVERY = 60.0  # seconds between two joinings of the feature store's small fragments
MOST_CLAIMS = 5  # a task that was claimed so often and never finished most likely kills its worker


def embed(services: Services, project_id: int, owner: str) -> int:
    """Claim up to a shard of tasks and embed them; returns how many were finished (embedded or failed)."""
    options = services.options
    project = services.projects.get(project_id)
    claimed = services.tasks.claim(project_id, owner, options.shard_size, options.lease)
    if not claimed:
        return 0
    try:
        live = services.feature_sets.get(project_id, project.features_version)
        embedder = services.embedder(live.checkpoint)
        if not _same_backbone(services, project, embedder.backbone):
            due.nudge(services, services.projects.get(project_id))
            return 0
        version = project.features_version
        again = [task for task, _, claims in claimed if claims]
        stored = services.features.present(project_id, version, again) if again else set()
        lost = {
            task: f"its worker died {claims} times while embedding this image; look at the image, then retry"
            for task, _, claims in claimed
            if claims >= MOST_CLAIMS and task not in stored
        }
        services.tasks.finish(project_id, dict.fromkeys(stored, ""), lost, version=version)
        todo = [(task, refs) for task, refs, _ in claimed if task not in stored and task not in lost]
        results = embedder.embed(todo)
        began = services.clock.now()
        done = _store(services, project_id, version, owner, results, len(todo))
        _note_rate(services, live, done, services.clock.now() - began)
    finally:
        services.tasks.release(project_id, owner)
    log.info("embedded a shard", project=project_id, tasks=done, found_stored=len(stored), device=embedder.device)
    if services.jobs.hit(f"optimize:{project_id}", OPTIMIZE_EVERY):
        services.features.optimize(project_id, version)
    due.nudge(services, services.projects.get(project_id))
    return done + len(stored) + len(lost)


def _store(
    services: Services,
    project: int,
    version: int,
    owner: str,
    results: Iterator[Embedded | Failed],
    total: int,
) -> int:
    """Commit results chunk by chunk: features first, then the tasks' states."""
    good: list[Embedded] = []
    bad: list[Failed] = []
    done = 0
    renewed = services.clock.now()

    def commit() -> None:
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
            {item.task_id: item.reason for item in bad},
            {item.task_id: item.note for item in good if item.note},
            version=version,
        )
        good.clear()
        bad.clear()

    try:
        for result in results:
            if isinstance(result, Failed):
                bad.append(result)
            else:
                good.append(result)
            done += 1
            if len(good) + len(bad) >= services.options.chunk_size:
                commit()
                services.jobs.progress(done, total)
            if services.clock.now() - renewed > services.options.lease / 4:
                services.tasks.renew(project, owner, services.options.lease)
                renewed = services.clock.now()
    except LabelStudioError:  # it went away: what is done stays done, the rest waits for the next attempt
        commit()
        raise
    commit()
    services.jobs.progress(done, total)
    return done


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
    """Whether the worker's backbone made this version; if not, start the next version, for features never mix.

    Of workers that find out at once one begins the version; of those with two backbones one names an empty project's.
    """
    if not project.backbone:
        project = services.projects.edit(project.id, lambda now: {} if now.backbone else {"backbone": backbone.tag})
    if project.backbone == backbone.tag:
        return True
    log.warning("backbone changed: embedding anew", project=project.id, before=project.backbone, now=backbone.tag)
    version = renewal.free_version(services, project.id)
    at = services.clock.now()
    services.feature_sets.begin_plain(project.id, backbone.tag, version=version, over=project.features_version, at=at)
    return False

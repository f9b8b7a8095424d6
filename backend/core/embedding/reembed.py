"""Embed the pool as a new feature version beside the live one: the third step of a renewal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import structlog

from backend.core.domain import Embedded, Failed, FeatureBatch
from backend.core.domain.training import FeatureSet
from backend.core.embedding.shards import PIECE_SECONDS, images_come, until
from backend.core.errors import LabelStudioDown
from backend.core.ports import Embedder
from backend.core.renewal import renew
from backend.core.services import Services

log = structlog.get_logger()

SLICE = 512  # tasks after which a shard makes room for more urgent jobs


def embed_version(services: Services, project_id: int, version: int, shard: int) -> int:
    """Embed some of this shard's tasks with the new weights; returns how many are done by this call.

    A shard holds the tasks whose id is `shard` modulo the number of shards. What is stored is not embedded again, so
    that the job can be killed and run anew; the live version is not touched. The last shard to finish hands over.
    Once the renewal is cancelled, the next chunk is not stored and the job ends.
    """
    current = services.feature_sets.get(project_id, version)
    if current.state != "embedding":
        return 0
    todo = missing(services, current)
    mine = [task for task in todo if task % services.options.renewal_shards == shard][:SLICE]
    if mine:
        found = services.tasks.list(project_id, ids=mine, limit=len(mine))
        embedder = services.embedder(current.checkpoint)
        items = [(task.id, task.refs) for task in found if task.refs]
        failed = _store(services, current, embedder, items)
        current = services.feature_sets.get(project_id, version)
        if current.state != "embedding":
            return 0
        if failed:
            current = _note(services, current, unread=[*current.report.get("unread", []), *failed])
    left = missing(services, current)
    if mine:
        live = services.features.ids(project_id, services.projects.get(project_id).features_version)
        current = _note(services, current, left=len(left), pool=len(live))
    if not left:
        tag = services.embedder(current.checkpoint).backbone.tag
        at = services.clock.now()
        current = services.feature_sets.move(project_id, version, "embedded", at=at, backbone=tag) or current
    renew.nudge(services, current)
    return len(mine)


def missing(services: Services, current: FeatureSet) -> list[int]:
    """Tasks with features in the version it began from, none in this one, and an image that could be read."""
    live = services.features.ids(current.project, services.projects.get(current.project).features_version)
    have = services.features.ids(current.project, current.version)
    unread = np.array([item["task"] for item in current.report.get("unread", [])], np.int64)
    absent = np.setdiff1d(live, np.union1d(have, unread))
    return [int(task) for task in absent]


def _note(services: Services, current: FeatureSet, **entries: object) -> FeatureSet:
    return services.feature_sets.note(current.project, current.version, at=services.clock.now(), **entries)


def _store(  # noqa: C901  (to go with its twin in embed)
    services: Services, current: FeatureSet, embedder: Embedder, items: Sequence[tuple[int, tuple[str, ...]]]
) -> list[dict[str, object]]:
    """Append chunk by chunk while the version still embeds; returns what could not be read, with the reason.

    No image is begun after a while.
    """
    good: list[Embedded] = []
    failed: list[dict[str, object]] = []
    silent: list[Failed] = []
    end = services.clock.now() + PIECE_SECONDS

    def wanted() -> bool:
        return services.feature_sets.get(current.project, current.version).state == "embedding"

    def commit() -> None:
        if good:
            ids = np.array([item.task_id for item in good], np.int64)
            batch = FeatureBatch(ids, np.stack([item.vector for item in good]), [item.digest for item in good])
            services.features.append(current.project, current.version, batch)
            renew.forget_deleted(services, current.project, current.version, batch.task_ids.tolist())
            good.clear()

    came = 0
    try:
        for result in embedder.embed(until(services, end, items)):
            if isinstance(result, Failed) and result.unanswered:
                silent.append(result)
                continue
            came += 1
            if isinstance(result, Failed):
                failed.append({"task": result.task_id, "reason": result.reason})
            else:
                good.append(result)
            if len(good) >= services.options.chunk_size:
                if not wanted():
                    return []
                commit()
                services.jobs.progress(came, len(items))
    except LabelStudioDown:
        if wanted():
            commit()
        if not silent:
            raise
    if wanted():
        commit()
    if silent and not images_come(services, current.project, embedder):
        raise LabelStudioDown(silent[-1].reason)
    if not came:  # only such are left: the version comes without them
        failed += [{"task": item.task_id, "reason": item.reason} for item in silent]
    return failed

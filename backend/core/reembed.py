"""The second half of a renewal: embed the pool as the new version beside the live one, then accept or reject it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import structlog

from backend.core import renewal
from backend.core.acceptance import compare_features
from backend.core.domain import Embedded, Failed, FeatureBatch, FeatureTable
from backend.core.errors import LabelStudioDown
from backend.core.labels import read_labels
from backend.core.ports import Embedder
from backend.core.services import Services
from backend.core.shards import PIECE_SECONDS, images_come, until
from backend.core.training import FeatureSet
from selection.proxy.acceptance import Comparison

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
    renewal.nudge(services, current)
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


def judge(services: Services, project_id: int, version: int) -> Comparison | None:
    """Accept the version if it is better on unseen labels (then it goes live), else reject it with the reason.

    None if it is not to be judged (any more): cancelled, judged by another worker, or compared with a version that is
    not the live one any more; then it is judged again.
    """
    current = services.feature_sets.get(project_id, version)
    if current.state != "judging":
        return None
    live = services.projects.get(project_id).features_version
    found = compare_versions(services, current, live)
    report = {
        "accuracy_old": found.accuracy_old,
        "accuracy_new": found.accuracy_new,
        "gain": found.gain,
        "p": found.p,
        "judged": found.labels,
    }
    moved = services.feature_sets.move(
        project_id,
        version,
        "accept" if found.better else "reject",
        at=services.clock.now(),
        over=live,
        stored=services.features.ids(project_id, version).tolist() if found.better else (),
        report=report,
        reason=found.reason,
    )
    if moved is None:
        log.info("the judgement came too late", project=project_id, version=version)
        renewal.nudge_current(services, project_id)
        return None
    log.info("renewal judged", project=project_id, version=version, better=found.better, reason=found.reason)
    if found.better:
        renewal.rank_on_switched(services, project_id)
    return found


def compare_versions(services: Services, current: FeatureSet, live: int) -> Comparison:
    """The version and the live one on labels that the fine-tuning never saw (see `compare_features`).

    These are the half of the held-out ones that did not stop the training, the audit's, and all that came since the
    renewal began.
    """
    project = services.projects.get(current.project)
    old = services.features.load(project.id, live)
    new = services.features.load(project.id, current.version)
    tasks = np.intersect1d(old.task_ids, new.task_ids)
    before, after = (table.vectors[np.isin(table.task_ids, tasks)] for table in (old, new))
    labels = read_labels(services, project, FeatureTable(tasks, before))
    seen = renewal.stopping_half(current.held_out)
    judging = set(current.held_out) - set(seen) | services.tasks.changed_tasks(project.id, current.created_at)
    unseen = (np.isin(tasks, np.array(sorted(judging), np.int64)) | labels.audit) & (labels.rows >= 0)
    return compare_features(before, after, labels.rows, unseen, len(labels.classes), seed=services.options.seed)


def _store(
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
            renewal.forget_deleted(services, current.project, current.version, batch.task_ids.tolist())
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

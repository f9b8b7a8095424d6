"""The end of a renewal: accept or reject the new version on labels that its training never saw."""

from __future__ import annotations

import numpy as np
import structlog

from backend.core.domain import FeatureTable
from backend.core.domain.training import FeatureSet, Judgement
from backend.core.learning.labels import read_labels
from backend.core.renewal import renew
from backend.core.renewal.acceptance import compare_features
from backend.core.renewal.rules import judging_half
from backend.core.services import Services
from selection.proxy.acceptance import Comparison

log = structlog.get_logger()


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
    report = Judgement(found.accuracy_old, found.accuracy_new, found.gain, found.p, judged=found.labels)
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
        renew.nudge_current(services, project_id)
        return None
    log.info("renewal judged", project=project_id, version=version, better=found.better, reason=found.reason)
    if found.better:
        renew.rank_on_switched(services, project_id)
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
    judging = set(judging_half(current.held_out)) | services.tasks.changed_tasks(project.id, current.created_at)
    unseen = (np.isin(tasks, np.array(sorted(judging), np.int64)) | labels.audit) & (labels.rows >= 0)
    return compare_features(before, after, labels.rows, unseen, len(labels.classes), seed=services.options.seed)

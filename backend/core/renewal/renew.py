"""Feature renewal from the outside: start, cancel, roll back, go on (ASVP's loop, run live by jobs).

The way of one renewal: `start` writes a feature set in state "training"; `train.train` runs it slice by slice;
`embedding.embed` fills the new version while the old one serves; `judge.judge` accepts or rejects it on labels that
the training never saw. Whatever happens on the way, the live version stays as it is until the switch. The states and
how they change are in `states`; a job whose move comes too late stops there and leaves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast, get_args

import numpy as np
import structlog

from backend.core import jobs
from backend.core.domain import FeatureTable, Project
from backend.core.domain.training import FeatureSet, Method
from backend.core.errors import UserError
from backend.core.learning.labels import read_labels
from backend.core.renewal import rules
from backend.core.renewal.states import after, ongoing
from backend.core.services import Services

log = structlog.get_logger()

SLOTS = 4  # jobs that may embed a new version at once


def start(services: Services, project_id: int, method: Method | None = None) -> FeatureSet:
    """Begin to fine-tune. Raises `UserError` if one is under way, or labels are too few to train and hold out.

    Reads no feature vectors: the web process and the command line call it too.
    """
    project = services.projects.get(project_id)
    table = _seen(services, project)
    labels = read_labels(services, project, table)
    if labels.present is not None:
        raise UserError("features are fine-tuned where a label is one class; here it is a set of classes")
    rows = np.flatnonzero(labels.trainable >= 0)
    classes = len(np.unique(labels.rows[rows]))
    held_out = rules.choose_held_out(table, labels, services.options.seed)
    if classes < 2 or len(held_out) < 2:
        raise UserError(
            f"{len(rows)} labels of {classes} classes are too few to fine-tune: "
            f"{round(1 / rules.HELD_OUT)} labels in each of two classes are the least; label more first"
        )
    chosen = method or rules.method_for(len(rows), classes)
    made = services.feature_sets.begin(
        project_id,
        version=free_version(services, project_id),
        method=chosen,
        base=project.features_version,
        labels=len(rows),
        labels_digest=labels.digest,
        held_out=held_out,
        at=services.clock.now(),
    )
    log.info("renewal started", project=project_id, version=made.version, method=chosen, labels=len(rows))
    nudge(services, made)
    return made


def cancel(services: Services, project_id: int) -> FeatureSet:
    """Stop the renewal that is under way; the live features stay. Raises `UserError` if there is none (any more)."""
    current = ongoing(services.feature_sets.list(project_id))
    if current is None:
        raise UserError("no renewal is under way")
    at = services.clock.now()
    done = services.feature_sets.move(project_id, current.version, "cancel", at=at, reason="cancelled by a person")
    if done is None:
        now = services.feature_sets.get(project_id, current.version)
        raise UserError(f"the renewal has just ended: version {now.version} is {now.state}; nothing changed")
    return done


def rollback(services: Services, project_id: int, version: int) -> None:
    """Serve from an older (or a rejected) version again; tasks that it lacks are embedded for it.

    Raises `UserError` unless the version is retired or rejected: those were whole once. What is still being made, was
    cancelled or has failed never serves, however many features it holds.
    """
    found = services.feature_sets.get(project_id, version)
    if found.state == "live":
        raise UserError(f"version {version} serves already; nothing changed")
    if after(found.state, "return") is None:
        raise UserError(
            f"version {version} is {found.state}: only versions that were whole once, retired and rejected ones, can "
            "serve; nothing changed"
        )
    if not len(services.features.ids(project_id, version)):
        raise UserError(f"version {version} of project {project_id} holds no features; nothing changed")
    at, stored = services.clock.now(), services.features.ids(project_id, version).tolist()
    if services.feature_sets.move(project_id, version, "return", at=at, stored=stored) is None:
        raise UserError(f"version {version} serves already; nothing changed")  # asked for twice at once
    rank_on_switched(services, project_id)


def act(services: Services, project: Project, action: str, *, method: object = None, version: int | None = None) -> str:
    """What a person asks for: "start" (with or without a method), "cancel" or "rollback" to a version; told in words.

    Raises `UserError`; then nothing has changed.
    """
    if action == "start":
        if method is not None and method not in get_args(Method):
            raise UserError(f"method must be one of {', '.join(get_args(Method))}, got {method!r}")
        made = start(services, project.id, cast(Method | None, method))
        return f"version {made.version} is fine-tuned by {made.method} on {made.labels} labels"
    if action == "cancel":
        return f"the renewal to version {cancel(services, project.id).version} is cancelled"
    if action == "rollback" and version is not None:
        rollback(services, project.id, version)
        return f"version {version} serves from the next learning round, which is asked for"
    raise UserError('the action must be "start", "cancel", or "rollback" with a version')


def rank_on_switched(services: Services, project_id: int) -> None:
    """Ask for a round on the version that has just gone live. Lost, it is found due by the tick (`learning_due`)."""
    services.jobs.submit(jobs.cycle(project_id, "switched features"))


def free_version(services: Services, project_id: int) -> int:
    """A number for the next version under which the store holds nothing, not even of a database before this one."""
    version = services.feature_sets.list(project_id)[-1].version + 1
    while len(services.features.ids(project_id, version)):
        version += 1
    return version


def forget(services: Services, project_id: int, tasks: Sequence[int]) -> None:
    """Drop the features of tasks that are gone or show another image: of all versions, because any may serve again."""
    for item in services.feature_sets.list(project_id):
        services.features.remove(project_id, item.version, tasks)


def forget_deleted(services: Services, project_id: int, version: int, tasks: Sequence[int]) -> bool:
    """Drop the features of those of `tasks` that are deleted, or have no image any more; whether there were any.

    Called after features were stored: whoever deletes a task later drops them himself.
    """
    found = services.tasks.list(project_id, ids=tasks, limit=max(len(tasks), 1))
    known = {task.id for task in found if task.image is not None}
    gone = sorted(set(tasks) - known)
    if gone:
        services.features.remove(project_id, version, gone)
    return bool(gone)


def forget_all_but(services: Services, project_id: int, tasks: Sequence[int]) -> None:
    """Drop the features of all tasks but these, of all versions: whoever deleted them may have been killed before."""
    for item in services.feature_sets.list(project_id):
        stray = np.setdiff1d(services.features.ids(project_id, item.version), np.array(tasks, np.int64))
        forget_deleted(services, project_id, item.version, stray.tolist())


def nudge(services: Services, current: FeatureSet) -> None:
    """Submit what the renewal under way needs next."""
    project, version = current.project, current.version
    if current.state == "training":
        services.jobs.submit(jobs.train(project, version))
    elif current.state == "embedding":
        shard = services.options.shard_size
        waiting = services.tasks.waiting(project, version, SLOTS * shard)
        for slot in range(max(1, -(-waiting // shard))):  # one even if nothing waits: it hands the version over
            services.jobs.submit(jobs.embed_version(project, version, slot))
    elif current.state == "judging":
        services.jobs.submit(jobs.judge(project, version))


def nudge_current(services: Services, project_id: int) -> None:
    """The tick's part: go on with a renewal whose job was lost."""
    current = ongoing(services.feature_sets.list(project_id))
    if current is not None:
        nudge(services, current)


def _seen(services: Services, project: Project) -> FeatureTable:
    """The embedded tasks that have a label or skip, with no columns."""
    labeled, skipped = services.tasks.labels(project.id)
    tasks = sorted(services.features.present(project.id, project.features_version, [*labeled, *skipped]))
    return FeatureTable(np.array(tasks, np.int64), np.zeros((len(tasks), 0), np.float16))

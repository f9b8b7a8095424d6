"""One slice of a fine-tuning: the order is made anew from the state each time, and always the same."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import structlog
from numpy.typing import NDArray

from backend.core.domain import FeatureTable, Project
from backend.core.domain.training import Example, FeatureSet, Training, TrainingOrder, TrainingState
from backend.core.errors import TrainingFailed
from backend.core.learning.labels import Labels, read_labels
from backend.core.renewal import pseudo, renew
from backend.core.renewal.rules import rows_of, stopping_half
from backend.core.services import Services
from selection.contract import SKIPPED, UNLABELED

log = structlog.get_logger()

SLICE_SECONDS = 20.0  # after so long the worker looks for more urgent jobs, between two epochs


def train(services: Services, project_id: int, version: int) -> TrainingState | None:
    """Go on with the fine-tuning of this version for a slice; when it is done, hand over to embedding.

    None if it is no longer under way. An error of the training (no memory even at batch 1, broken images) marks the
    version failed with its reason; a killed worker's slice is run again. What a slice did is kept only if the version
    still trains when it ends.
    """
    current = services.feature_sets.get(project_id, version)
    if current.state == "cancelled":
        services.trainer().drop(_run(current))
    if current.state != "training":
        return None
    order = make_order(services, current)

    def cancelled() -> bool:
        return services.feature_sets.get(project_id, version).state != "training"

    trainer = services.trainer()
    try:
        state = trainer.slice(order, seconds=SLICE_SECONDS, cancelled=cancelled)
    except TrainingFailed as error:
        log.warning("fine-tuning failed", project=project_id, version=version, reason=str(error))
        at = services.clock.now()
        services.feature_sets.move(project_id, version, "fail", at=at, reason=str(error))
        trainer.drop(order.run)
        return None
    services.jobs.progress(len(state.epochs), state.total)
    seconds = sum(epoch.seconds for epoch in state.epochs)
    report = Training(state.epochs, state.total, seconds, pseudo.record(order))
    moved = services.feature_sets.move(
        project_id,
        version,
        "trained" if state.finished else "slice",
        at=services.clock.now(),
        report=report,
        checkpoint=state.checkpoint,
    )
    if moved is None or state.finished:
        trainer.drop(order.run)
    if moved is None:
        log.info("fine-tuning came too late", project=project_id, version=version)
        return state
    if state.finished:
        log.info("fine-tuned", project=project_id, version=version, epochs=len(state.epochs))
    renew.nudge(services, moved)
    return state


def make_order(services: Services, current: FeatureSet) -> TrainingOrder:
    """What to train on: the labels that were there when the renewal began, less the held-out ones and the audit's.

    Labels that came later are left out, so that a killed job goes on from the same order; with the project's switch
    on, ActiveDC's expansion is added with weights below 1.
    """
    project = services.projects.get(current.project)
    table = services.features.load(project.id, current.base or project.features_version)
    labels = read_labels(services, project, table)
    kept = _labels_then(services, current, table, labels)
    held_out = rows_of(table, current.held_out)
    stopping = rows_of(table, stopping_half(current.held_out))
    images = _images(services, project, table.task_ids[kept >= 0].tolist())
    train_rows: NDArray[np.int64] = np.setdiff1d(np.flatnonzero(kept >= 0), held_out).astype(np.int64)
    examples = _examples(table, train_rows, kept, images)
    if current.report.training:  # a later slice: new tasks must not change what is trained on
        examples += _recorded(services, project, current.report.training, labels.classes)
    elif project.calibrate:
        examples += _expansion(services, project, table, kept, train_rows, len(labels.classes))
    return TrainingOrder(
        run=_run(current),
        backbone=services.options.backbone,
        method=current.method or "lp-ft",
        classes=labels.classes,
        train=tuple(examples),
        held_out=tuple(_examples(table, stopping, kept, images)),
        seed=services.options.seed,
    )


def _run(current: FeatureSet) -> str:
    return f"p{current.project}-v{current.version}"


def _labels_then(services: Services, current: FeatureSet, table: FeatureTable, labels: Labels) -> NDArray[np.int64]:
    """Labels (n,) to train on: those whose task was labeled before the renewal began."""
    later = services.tasks.changed_tasks(current.project, current.created_at)
    kept = labels.trainable.copy()
    kept[rows_of(table, sorted(later))] = UNLABELED
    return kept


def _images(services: Services, project: Project, tasks: Sequence[int]) -> dict[int, str]:
    found = services.tasks.list(project.id, ids=tasks, limit=max(len(tasks), 1))
    return {task.id: task.image for task in found if task.image is not None}


def _examples(
    table: FeatureTable,
    rows: NDArray[np.int64],
    labels: NDArray[np.int64],
    images: dict[int, str],
) -> list[Example]:
    pairs = zip(table.task_ids[rows].tolist(), labels[rows].tolist(), strict=True)
    return [Example(task, images[task], label) for task, label in pairs if task in images and label >= 0]


def _expansion(
    services: Services,
    project: Project,
    table: FeatureTable,
    labels: NDArray[np.int64],
    rows: NDArray[np.int64],
    n_classes: int,
) -> list[Example]:
    """ActiveDC's pseudo-labeled rows, from the training labels alone; held-out and audit rows are not candidates."""
    from selection.proxy.calibrate import expand

    drawn = services.tasks.audit(project.id)
    blocked = rows_of(table, sorted(drawn))
    known = np.where(np.isin(np.arange(len(labels)), rows), labels, np.where(labels >= 0, SKIPPED, UNLABELED))
    known[blocked] = SKIPPED
    digest = hashlib.blake2b(f"{services.options.seed}:{project.id}".encode(), digest_size=8).digest()
    rng = np.random.default_rng(int.from_bytes(digest, "big"))
    found = expand(table.vectors, known, n_classes, rng)
    tasks = table.task_ids[found.rows].tolist()
    images = _images(services, project, tasks)
    guesses = list(zip(tasks, found.labels.tolist(), found.weights.tolist(), strict=True))[: pseudo.MOST]
    return [Example(task, images[task], label, weight) for task, label, weight in guesses if task in images]


def _recorded(services: Services, project: Project, begun: Training, classes: Sequence[str]) -> list[Example]:
    """The expansion that the first slice trained on."""
    rows = begun.pseudo_labels
    images = _images(services, project, [task for task, _, _ in rows])
    return [Example(task, images[task], classes.index(name), weight) for task, name, weight in rows if task in images]

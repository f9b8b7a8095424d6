"""The labeled part of a project as data to replay."""

from __future__ import annotations

import numpy as np

from backend.core.domain import FeatureTable, Project
from backend.core.errors import UserError
from backend.core.learning.labels import read_labels
from backend.core.replay.simulate import Truth
from backend.core.services import Services


def labeled(services: Services, project: Project) -> tuple[Truth, list[str]]:
    """Features and labels of the labeled tasks, and what to warn of. Raises `UserError` if two classes lack labels."""
    table = services.features.load(project.id, project.features_version)
    labels = read_labels(services, project, table)
    if labels.present is not None:
        raise UserError(f"project {project.ls_id} labels sets of classes; a replay takes one class an image only")
    rows = np.flatnonzero(labels.rows >= 0)
    present = np.unique(labels.rows[rows])
    if len(present) < 2:
        raise UserError(
            f"project {project.ls_id} has {len(rows)} labeled tasks of {len(present)} classes; "
            "a replay needs two classes: label more, or name a folder"
        )
    truth = Truth(
        FeatureTable(table.task_ids[rows], table.vectors[rows]),
        np.searchsorted(present, labels.rows[rows]),
        tuple(labels.classes[number] for number in present),
    )
    warnings = []
    if services.rankings.latest(project.id) is not None:
        warnings.append(
            f"The {len(rows)} labeled tasks were themselves chosen by a queue ({int(labels.audit[rows].sum())} of them "
            "at random, for the audit): the replay only chooses among what was chosen, which makes strategies look "
            "more alike, and favours none of them fairly."
        )
    if project.features_version > 1:
        warnings.append("The features were renewed by training on some of these labels: accuracies are too good.")
    return truth, warnings


def images_of(services: Services, project: Project, truth: Truth) -> list[str]:
    """The image reference of each row. Raises `UserError` for a task whose image is gone."""
    ids = truth.table.task_ids.tolist()
    found = {task.id: task.image for task in services.tasks.list(project.id, ids=ids, limit=len(ids))}
    images = [image for image in map(found.get, ids) if image is not None]
    if len(images) < len(ids):
        raise UserError(f"{len(ids) - len(images)} labeled tasks have no image any more; wait for the next sync")
    return images

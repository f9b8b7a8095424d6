"""What people said of the rows of a feature table."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import selection
from backend.core.domain import FeatureTable, Project
from backend.core.services import Services


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """What people said of the pool's rows.

    rows : (n,) class index, UNLABELED or SKIPPED; audit : (n,) whether the row belongs to the audit stream;
    digest : of all labels and skips.
    """

    rows: NDArray[np.int64]
    audit: NDArray[np.bool_]
    classes: tuple[str, ...]
    digest: str

    @property
    def trainable(self) -> NDArray[np.int64]:
        """(n,) labels to learn from: the audit's, which judge, and skips are SKIPPED."""
        return np.where(self.audit, selection.SKIPPED, self.rows)


def read_labels(services: Services, project: Project, table: FeatureTable) -> Labels:
    """Labels of unknown names (renamed classes, several choices) count as seen, but nothing is learnt from them."""
    services.tasks.draw_audit(project.id, project.audit_share, services.options.seed)
    labeled, skipped = services.tasks.labels(project.id)
    classes = project.config.classes if project.config.single_choice else ()
    number = {name: place for place, name in enumerate(classes)}
    rows = np.full(len(table.task_ids), selection.UNLABELED, np.int64)
    seen = {task: number.get(name, selection.SKIPPED) for task, name in labeled.items()}
    seen |= dict.fromkeys(skipped, selection.SKIPPED)
    known, found = places(table, list(seen))
    rows[known] = np.fromiter(seen.values(), np.int64, len(seen))[found]
    drawn = np.zeros(len(rows), bool)
    drawn[places(table, sorted(services.tasks.audit(project.id)))[0]] = True
    if project.audit_share == 0:  # switched off: what nobody has labeled goes back to the selector
        drawn &= rows != selection.UNLABELED
    text = "\n".join(f"{task}\t{name}" for task, name in sorted(labeled.items()))
    digest = hashlib.sha256(f"{text}\n{sorted(skipped)}".encode()).hexdigest()[:16]
    return Labels(rows, drawn, classes, digest)


def places(table: FeatureTable, tasks: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Rows of those tasks that have features, and which of the tasks they are."""
    wanted = np.array(tasks, np.int64)
    if not len(table.task_ids):
        return np.zeros(0, np.int64), np.zeros(len(wanted), bool)
    rows = np.minimum(np.searchsorted(table.task_ids, wanted), len(table.task_ids) - 1)
    found = table.task_ids[rows] == wanted
    return rows[found], found

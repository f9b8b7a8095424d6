"""What people said of the rows of a feature table."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import selection
from backend.core.domain import FeatureTable, Kind, Label, Project
from backend.core.services import Services


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """What people said of the pool's rows.

    rows : (n,) class index, UNLABELED or SKIPPED; where labels are sets of classes LABELED in the index's place.
    present : (n, c) bool, the classes of labeled rows; None where labels are one class.
    audit : (n,) whether the row belongs to the audit stream; digest : of all labels and skips.
    """

    rows: NDArray[np.int64]
    audit: NDArray[np.bool_]
    classes: tuple[str, ...]
    digest: str
    present: NDArray[np.bool_] | None = None

    @property
    def trainable(self) -> NDArray[np.int64]:
        """(n,) labels to learn from: the audit's, which judge, and skips are SKIPPED."""
        return np.where(self.audit, selection.SKIPPED, self.rows)


def read_labels(services: Services, project: Project, table: FeatureTable) -> Labels:
    """Labels that do not fit (renamed or removed classes) count as seen, but nothing is learnt from them."""
    services.tasks.draw_audit(project.id, project.audit_share, services.options.seed)
    labeled, skipped = services.tasks.labels(project.id)
    target = project.config.target
    numbers = {name: place for place, name in enumerate(target.classes)} if target.kind != "none" else {}
    fitting = {task: label for task, label in labeled.items() if fits(label, target.kind, numbers)}
    rows = np.full(len(table.task_ids), selection.UNLABELED, np.int64)
    present = np.zeros((len(rows), len(numbers)), bool) if target.kind == "set" else None
    known, _ = places(table, [*labeled, *skipped])
    rows[known] = selection.SKIPPED
    tasks = list(fitting)
    known, found = places(table, tasks)
    for row, task in zip(known.tolist(), np.array(tasks, np.int64)[found].tolist(), strict=True):
        label = fitting[task]
        if isinstance(label, str):
            rows[row] = numbers[label]
        elif present is not None:
            rows[row] = selection.LABELED
            present[row, [numbers[name] for name in label]] = True
    drawn = np.zeros(len(rows), bool)
    drawn[places(table, sorted(services.tasks.audit(project.id)))[0]] = True
    if project.audit_share == 0:  # switched off: what nobody has labeled goes back to the selector
        drawn &= rows != selection.UNLABELED
    text = "\n".join(f"{task}\t{as_text(label)}" for task, label in sorted(labeled.items(), key=lambda item: item[0]))
    digest = hashlib.sha256(f"{text}\n{sorted(skipped)}".encode()).hexdigest()[:16]
    return Labels(rows, drawn, tuple(numbers), digest, present)


def fits(label: Label, kind: Kind, classes: Container[str]) -> bool:
    """Whether a label is of the kind and of classes that the label config has now; of a set, all of them."""
    if isinstance(label, str):
        return kind == "one" and label in classes
    return kind == "set" and all(name in classes for name in label)


def as_text(label: Label) -> str:
    """One class by its name, a set as JSON."""
    return label if isinstance(label, str) else json.dumps(sorted(label), ensure_ascii=False)


def places(table: FeatureTable, tasks: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Rows of those tasks that have features, and which of the tasks they are."""
    wanted = np.array(tasks, np.int64)
    if not len(table.task_ids):
        return np.zeros(0, np.int64), np.zeros(len(wanted), bool)
    rows = np.minimum(np.searchsorted(table.task_ids, wanted), len(table.task_ids) - 1)
    found = table.task_ids[rows] == wanted
    return rows[found], found

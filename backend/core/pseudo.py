"""How ActiveDC's guessed labels fared: kept with the feature version, compared with what people said later.

They are never counted as labels; this is only a judgement of the expansion.
"""

from __future__ import annotations

from typing import Any

from backend.core.services import Services
from backend.core.training import FeatureSet, TrainingOrder

MOST = 20_000


def record(order: TrainingOrder) -> dict[str, Any]:
    """Report entries: how many pseudo-labels were trained on, and the tasks of the first 20,000 by class."""
    guessed = [example for example in order.train if example.weight < 1]
    tasks: dict[str, list[int]] = {}
    for example in guessed[:MOST]:
        tasks.setdefault(order.classes[example.label], []).append(example.task_id)
    return {"pseudo": len(guessed), "pseudo_labels": tasks}


def agreement(services: Services, made: FeatureSet) -> dict[str, int] | None:
    """Of the pseudo-labels of this version: how many there were, have a label by now, agree with it; None if none.

    Their tasks had no label when training began, so each label that they have came later.
    """
    if not made.report.get("pseudo"):
        return None
    labels, _ = services.tasks.labels(made.project)
    later = [
        labels[task] == name
        for name, tasks in made.report.get("pseudo_labels", {}).items()
        for task in tasks
        if task in labels
    ]
    return {"pseudo": int(made.report["pseudo"]), "labeled": len(later), "agree": sum(later)}

"""How ActiveDC's guessed labels fared: kept with the feature version, compared with what people said later.

They are never counted as labels; this is only a judgement of the expansion.
"""

from __future__ import annotations

from typing import Any

from backend.core.domain.training import FeatureSet, TrainingOrder
from backend.core.services import Services

MOST = 20_000


def record(order: TrainingOrder) -> dict[str, Any]:
    """Report entries: how many pseudo-labels are trained on, and each as [task, class, weight]."""
    guessed = [example for example in order.train if example.weight < 1]
    rows = [[example.task_id, order.classes[example.label], example.weight] for example in guessed]
    return {"pseudo": len(guessed), "pseudo_labels": rows}


def agreement(services: Services, made: FeatureSet) -> dict[str, int] | None:
    """Of the pseudo-labels of this version: how many there were, have a label by now, agree with it; None if none.

    Their tasks had no label when training began, so each label that they have came later.
    """
    if not made.report.get("pseudo"):
        return None
    labels, _ = services.tasks.labels(made.project)
    later = [labels[task] == name for task, name, _ in made.report["pseudo_labels"] if task in labels]
    return {"pseudo": int(made.report["pseudo"]), "labeled": len(later), "agree": sum(later)}

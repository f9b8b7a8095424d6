"""How ActiveDC's guessed labels fared: kept with the feature version, compared with what people said later.

They are never counted as labels; this is only a judgement of the expansion.
"""

from __future__ import annotations

from backend.core.domain.training import FeatureSet, PseudoLabel, TrainingOrder
from backend.core.services import Services

MOST = 20_000


def record(order: TrainingOrder) -> tuple[PseudoLabel, ...]:
    """The pseudo-labels that are trained on."""
    guessed = [example for example in order.train if example.weight < 1]
    return tuple(PseudoLabel(item.task_id, order.classes[item.label], item.weight) for item in guessed)


def agreement(services: Services, made: FeatureSet) -> dict[str, int] | None:
    """Of the pseudo-labels of this version: how many there were, have a label by now, agree with it; None if none.

    Their tasks had no label when training began, so each label that they have came later.
    """
    guessed = made.report.training.pseudo_labels if made.report.training else ()
    if not guessed:
        return None
    labels, _ = services.tasks.labels(made.project)
    later = [labels[item.task] == item.choice for item in guessed if item.task in labels]
    return {"pseudo": len(guessed), "labeled": len(later), "agree": sum(later)}

"""Train the head of a learning round and keep its record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.core.domain import FeatureTable, Head, Project
from backend.core.services import Services


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """The head's record and its calibrated probabilities (n, c) of all rows of the feature table."""

    head: Head
    probs: NDArray[np.float32]


def train(
    services: Services,
    project: Project,
    table: FeatureTable,
    labels: NDArray[np.int64],
    digest: str,
    classes: Sequence[str],
) -> Trained | None:
    """Learn the classes from the labeled rows; None while fewer than two classes have a label."""
    if len(np.unique(labels[labels >= 0])) < 2:
        return None
    import safetensors.numpy

    from selection.proxy import learn

    learned = learn(table.vectors, labels, len(classes), seed=services.options.seed)
    head = services.rankings.add_head(
        project.id,
        project.features_version,
        digest,
        classes,
        learned.report.to_json(),
        safetensors.numpy.save(learned.head.to_arrays()),
        services.clock.now(),
    )
    return Trained(head, learned.probs)

"""The rules of a renewal that the live one and the simulation share; when to renew is `selection.proxy.renewal`'s rule.

Every number of them stands here once: docs and helps that repeat one are held to it by a test.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from backend.core.domain import FeatureTable, RenewalMode
from backend.core.domain.training import Method
from backend.core.learning.labels import Labels

HELD_OUT = 0.2  # of the labels of each class; early stopping and the acceptance test use them
FULL_FROM = 50  # labels a class from which all weights are trained at once (FT); below, the head first (LP-FT)


def method_for(labels: int, classes: int) -> Method:
    """How to fine-tune on so many labels, unless a person names a method."""
    return "ft" if labels >= FULL_FROM * classes else "lp-ft"


def mode_of(chosen: RenewalMode | None, *, gpu: bool) -> RenewalMode:
    """The project's choice, else auto where there is a GPU."""
    return chosen or ("auto" if gpu else "suggest")


def choose_held_out(table: FeatureTable, labels: Labels, seed: int) -> list[int]:
    """Task ids of a fifth of each class's labels (rounded down), drawn by a hash: the same until labels change."""
    chosen: list[int] = []
    for number in range(len(labels.classes)):
        tasks = table.task_ids[labels.trainable == number].tolist()
        tasks.sort(key=lambda task: hashlib.blake2b(f"held-out:{seed}:{task}".encode()).digest())
        chosen += tasks[: int(HELD_OUT * len(tasks))]
    return sorted(chosen)


def stopping_half(held_out: Sequence[int]) -> list[int]:
    """The held-out tasks by which the training stops early."""
    return list(held_out[::2])


def judging_half(held_out: Sequence[int]) -> list[int]:
    """The other held-out tasks, which only judge, like the audit."""
    return list(held_out[1::2])


def rows_of(table: FeatureTable, tasks: Sequence[int]) -> NDArray[np.int64]:
    """Rows of those tasks that are in the table, ascending."""
    return np.flatnonzero(np.isin(table.task_ids, np.array(tasks, np.int64)))

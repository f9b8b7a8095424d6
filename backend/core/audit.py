"""The audit stream: a small share of the tasks, drawn at random, measures the head honestly.

A task is drawn when it is first ranked, before anybody labels it, by a hash of seed and id: the audit tasks are a
uniform sample of the pool whatever the selector does. They are shown without a suggestion, their labels never train
the head that they judge and never steer the selection.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.domain import Pick

NOTE = "drawn at random to measure the accuracy honestly: shown without a suggestion"


def draw(seed: int, task: int) -> float:
    """The task's number in [0, 1): it is an audit task if the number is below the share."""
    digest = hashlib.blake2b(f"{seed}:{task}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def in_order(seed: int, tasks: Iterable[int]) -> list[int]:
    """Audit tasks in the order in which they are served: random, and always the same."""
    return sorted(tasks, key=lambda task: draw(seed, task))


def weave(picks: Sequence[Pick], audits: Sequence[int], *, served: int, share: float, length: int) -> list[Pick]:
    """Put audit tasks among the picks so that `share` of everything ever served is audit.

    served : how many tasks people have done so far; it keeps the rhythm when a new ranking starts over.
    Returns at most `length` picks; the picks keep their order.
    """
    woven: list[Pick] = []
    chosen, drawn = iter(picks), iter(audits)
    for place in range(served, served + length):
        turn = int((place + 1) * share) > int(place * share)
        task = next(drawn, None) if turn else None
        pick = Pick(task, 0.0, NOTE, audit=True) if task is not None else next(chosen, None)
        if pick is None:
            break
        woven.append(pick)
    left = length - len(woven)
    return woven + [Pick(task, 0.0, NOTE, audit=True) for task in list(drawn)[:left]]


def judge(probs: NDArray[np.float32], labels: NDArray[np.int64], audit: NDArray[np.bool_]) -> dict[str, Any]:
    """Accuracy on the labeled audit rows with its 95% Wilson interval, as JSON; accuracy null while there are none."""
    from selection.proxy.calibration import wilson

    rows = np.flatnonzero(audit & (labels >= 0))
    right = int((probs[rows].argmax(1) == labels[rows]).sum()) if len(rows) else 0
    low, high = wilson(right, len(rows))
    return {
        "labels": len(rows),
        "right": right,
        "accuracy": right / len(rows) if len(rows) else None,
        "low": low,
        "high": high,
    }

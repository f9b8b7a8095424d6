"""The audit stream: a small share of the tasks, drawn at random, measures the head without bias.

A task is drawn when it is first ranked, before anybody labels it, by a hash of seed and id: the audit tasks are a
uniform sample of the pool whatever the selector does. They are shown without a suggestion, their labels never train
the head that they judge and never steer the selection.

What the interval is of: the population are all tasks that were drawn or passed over, that is, those that nobody had
labeled yet when they were first ranked; tasks that come later join it then. The share of them that the head names right
is between the two ends, for every head that was ever judged and at every look, with probability 95%.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from backend.core.domain import AuditAccuracy, AuditReport, Pick
from backend.core.domain.heads import ACCURACY

ALPHA = 0.05
NOTE = "drawn at random to measure the accuracy: shown without a suggestion"


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


def judge(
    probs: NDArray[np.float32],
    labels: NDArray[np.int64],
    audit: NDArray[np.bool_],
    *,
    population: int,
    alpha: float = ALPHA,
    present: NDArray[np.bool_] | None = None,
) -> AuditAccuracy:
    """Accuracy on the labeled audit rows with an interval that holds at every look at this model.

    probs (n, c), labels (n,), audit (n,); population : tasks that the audit stands for. The accuracy is None, and the
    interval 0 to 1, while there are none. present (n, c): where labels are sets of classes; then right is who names
    exactly the set, so it is the share of exact sets.
    """
    from selection.proxy.anytime import interval

    rows = np.flatnonzero(audit & (labels >= 0))
    said = _said(probs[rows], present is not None)
    same = said == labels[rows] if present is None else (said == present[rows]).all(1)
    right = int(same.sum())
    stands_for = max(population, len(rows))  # one may have gone since the labels were read
    low, high = interval(right, len(rows), stands_for, alpha)
    accuracy = right / len(rows) if len(rows) else None
    measure = ACCURACY if present is None else "exact sets"
    return AuditAccuracy(len(rows), right, accuracy, low, high, stands_for, measure)


def judge_next(
    probs: NDArray[np.float32],
    labels: NDArray[np.int64],
    audit: NDArray[np.bool_],
    *,
    tasks: NDArray[np.int64],
    population: int,
    present: NDArray[np.bool_] | None = None,
    earlier: AuditReport | None,
) -> AuditReport:
    """`judge` for one head after another, so that the intervals of all of them hold together.

    tasks (n,) ids; earlier : what this returned for the head before, None for the first. A head that was judged and
    answers otherwise than the one before, on any task, is another model and spends its share of the 5%
    (`anytime.share`). Heads judged by Wilson's interval, before there was this one, do not count.
    """
    from selection.proxy.anytime import share

    number, answers = (earlier.head, earlier.answers) if earlier else (0, "")
    if np.any(audit & (labels >= 0)):
        said = tasks.astype(np.int64).tobytes() + _said(probs, present is not None).tobytes()
        digest = hashlib.blake2b(said, digest_size=8).hexdigest()
        number, answers = number + (digest != answers), digest
    alpha = share(ALPHA, max(number, 1))
    judged = judge(probs, labels, audit, population=population, alpha=alpha, present=present)
    return AuditReport(**asdict(judged), head=number, answers=answers)


def _said(probs: NDArray[np.float32], sets: bool) -> NDArray[np.int32] | NDArray[np.bool_]:
    """What the head names: the likeliest class (n,) int32, or those likelier than not (n, c) bool."""
    if sets:
        return np.asarray(probs >= 0.5)
    return probs.argmax(1).astype(np.int32) if len(probs) else np.zeros(0, np.int32)

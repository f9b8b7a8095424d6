"""The picks of a ranking: the selector's order with its reasons and guesses, the audit stream woven in.

The live round and its replay both come through here, with `Inputs` as all that they know.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

import selection
from backend.core.domain import Inputs, Pick, Strategy
from backend.core.learning import audit
from backend.core.learning.answers import Answers
from backend.core.queue.order import order_rows


def make_picks(
    strategy: Strategy,
    seed: int,
    inputs: Inputs,
    vectors: NDArray[np.float16],
    answers: Answers | None,
) -> list[Pick]:
    """At most `inputs.horizon` picks. vectors (n, d) of the tasks of `inputs`; answers None: nothing is learnt."""
    ordered = order_rows(
        strategy,
        vectors,
        inputs.labels,
        answers.probs if answers else None,
        inputs.audit,
        length=inputs.horizon,
        batch=inputs.batch,
        seed=seed,
        present=inputs.present,
    )
    waiting = inputs.task_ids[inputs.audit & (inputs.labels == selection.UNLABELED)].tolist()
    return audit.weave(
        _explained(ordered, inputs, answers),
        audit.in_order(seed, waiting),
        served=int((inputs.labels != selection.UNLABELED).sum()),
        share=inputs.audit_share,
        length=inputs.horizon,
    )


def _explained(ordered: selection.Ranking, inputs: Inputs, answers: Answers | None) -> list[Pick]:
    guesses = answers.guesses(0, inputs.classes, inputs.task_ids, ordered.rows) if answers else None
    picks = []
    rows = zip(ordered.rows.tolist(), ordered.scores.tolist(), ordered.notes, strict=True)
    for place, (row, score, note) in enumerate(rows):
        guess = guesses.at(place) if guesses else None
        picks.append(Pick(int(inputs.task_ids[row]), float(score), _named(note, inputs.classes), guess))
    return picks


def _named(note: str, classes: Sequence[str]) -> str:
    """The note with "class 3" replaced by the class's name."""

    def name(match: re.Match[str]) -> str:
        number = int(match[1])
        return classes[number] if number < len(classes) else match[0]

    return re.sub(r"\bclass (\d+)\b", name, note)

"""The picks of a ranking: the selector's order with its reasons and guesses, the audit stream woven in.

The live round and its replay both come through here, with `Inputs` as all that they know.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

import selection
from backend.core.domain import Guess, Inputs, Pick, Strategy
from backend.core.learning import audit
from backend.core.queue.order import order_rows


def make_picks(
    strategy: Strategy,
    seed: int,
    inputs: Inputs,
    vectors: NDArray[np.float16],
    probs: NDArray[np.float32] | None,
) -> list[Pick]:
    """At most `inputs.horizon` picks. vectors (n, d) of the tasks of `inputs`; probs (n, c) or None: nothing learnt."""
    ordered = order_rows(
        strategy,
        vectors,
        inputs.labels,
        probs,
        inputs.audit,
        length=inputs.horizon,
        batch=inputs.batch,
        seed=seed,
    )
    waiting = inputs.task_ids[inputs.audit & (inputs.labels == selection.UNLABELED)].tolist()
    return audit.weave(
        _explained(ordered, inputs, probs),
        audit.in_order(seed, waiting),
        served=int((inputs.labels != selection.UNLABELED).sum()),
        share=inputs.audit_share,
        length=inputs.horizon,
    )


def _explained(ordered: selection.Ranking, inputs: Inputs, probs: NDArray[np.float32] | None) -> list[Pick]:
    picks = []
    for row, score, note in zip(ordered.rows.tolist(), ordered.scores.tolist(), ordered.notes, strict=True):
        guess = None
        if probs is not None:
            best = int(probs[row].argmax())
            guess = Guess(inputs.classes[best], float(probs[row, best]))
        picks.append(Pick(int(inputs.task_ids[row]), float(score), _named(note, inputs.classes), guess))
    return picks


def _named(note: str, classes: Sequence[str]) -> str:
    """The note with "class 3" replaced by the class's name."""

    def name(match: re.Match[str]) -> str:
        number = int(match[1])
        return classes[number] if number < len(classes) else match[0]

    return re.sub(r"\bclass (\d+)\b", name, note)

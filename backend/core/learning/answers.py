"""What a head answers for all rows of a feature table, of whichever kind its labels are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.core.domain import Guesses, LearningReport


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """probs (n, c): calibrated probabilities of the classes, rows sum to 1; where labels are sets each class's own.

    report : what the labels say of them. cut (c,): where labels are sets, from which probability on a class is
    suggested; None where they are one class.
    """

    probs: NDArray[np.float32]
    report: LearningReport
    cut: NDArray[np.float64] | None = None

    def guesses(
        self, head: int, names: Sequence[str], task_ids: NDArray[np.int64], rows: NDArray[np.int64] | None = None
    ) -> Guesses:
        """The guesses for all rows, or for some; task_ids (n,) are of all."""
        some = slice(None) if rows is None else rows
        probs = self.probs[some]
        best = probs.argmax(1)  # (m, c) -> (m,)
        if self.cut is None:
            confidence, present = np.take_along_axis(probs, best[:, None], 1)[:, 0], None
        else:
            confidence, present = np.maximum(probs, 1 - probs).prod(1), probs >= self.cut
        return Guesses(
            head, tuple(names), task_ids[some], best.astype(np.int32), confidence.astype(np.float32), present
        )

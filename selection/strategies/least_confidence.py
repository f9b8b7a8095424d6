"""Least confidence: the weakest best guess first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selection.contract import IntArray
from selection.kernels import scores
from selection.registry import FORMS, register
from selection.uncertain import Uncertain, unsure, unsure_of_set


@register("least_confidence", needs=Uncertain.needs, tags=Uncertain.tags, refers={"fallback"}, forms=FORMS)
@dataclass(frozen=True)
class LeastConfidence(Uncertain):
    """Least confidence: the image whose best guess is weakest first.

    max_k p_k ascending (Lewis & Gale, "A sequential algorithm for training text classifiers", SIGIR 1994).
    With sets of classes: the probability of the likeliest set, prod_k max(p_k, 1 - p_k), ascending.

    Scores are one less that probability, in [0, 1). Ties, fallback and cost: see `Uncertain`.
    """

    score = staticmethod(scores.least_confidence)
    say = staticmethod(unsure)
    say_sets = staticmethod(unsure_of_set)

    @staticmethod
    def score_sets(probs: NDArray[np.float64], positives: IntArray) -> NDArray[np.float64]:
        """See `least_confidence_of_sets`; positives are not read."""
        return scores.least_confidence_of_sets(probs)

"""Margin: the smallest gap between the two likeliest classes first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selection.contract import IntArray
from selection.kernels import scores
from selection.registry import FORMS, register
from selection.uncertain import Uncertain, torn, torn_between_sets


@register("margin", needs=Uncertain.needs, tags=Uncertain.tags, refers={"fallback"}, forms=FORMS)
@dataclass(frozen=True)
class Margin(Uncertain):
    """Margin: the image most torn between its two likeliest classes first.

    p_(1) - p_(2) ascending (Scheffer et al., "Active hidden Markov models for information extraction", IDA 2001);
    with one class the margin is defined as 1. With sets of classes: the gap between the least sure class at or above
    1/2 and the likeliest below it; where there is none above (below), 1 (0) stands for it, which is ours.

    Scores are 1 - (p_(1) - p_(2)), in [0, 1]. Ties, fallback and cost: see `Uncertain`.
    """

    score = staticmethod(scores.small_margin)
    say = staticmethod(torn)
    say_sets = staticmethod(torn_between_sets)

    @staticmethod
    def score_sets(probs: NDArray[np.float64], positives: IntArray) -> NDArray[np.float64]:
        """See `small_margin_of_sets`; positives are not read."""
        return scores.small_margin_of_sets(probs)

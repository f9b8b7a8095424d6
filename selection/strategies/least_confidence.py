"""Least confidence: the weakest best guess first."""

from __future__ import annotations

from dataclasses import dataclass

from selection.kernels import scores
from selection.registry import register
from selection.uncertain import Uncertain, unsure


@register("least_confidence", needs=Uncertain.needs, tags=Uncertain.tags, refers={"fallback"})
@dataclass(frozen=True)
class LeastConfidence(Uncertain):
    """Least confidence: the image whose best guess is weakest first.

    max_k p_k ascending (Lewis & Gale, "A sequential algorithm for training text classifiers", SIGIR 1994).

    Scores are 1 - max_k p_k, in [0, 1). Ties, fallback and cost: see `Uncertain`.
    """

    score = staticmethod(scores.least_confidence)
    say = staticmethod(unsure)

"""Margin: the smallest gap between the two likeliest classes first."""

from __future__ import annotations

from dataclasses import dataclass

from selection.kernels import scores
from selection.registry import register
from selection.uncertain import Uncertain, torn


@register("margin", needs=Uncertain.needs, tags=Uncertain.tags, refers={"fallback"})
@dataclass(frozen=True)
class Margin(Uncertain):
    """Margin: the image most torn between its two likeliest classes first.

    p_(1) - p_(2) ascending (Scheffer et al., "Active hidden Markov models for information extraction", IDA 2001);
    with one class the margin is defined as 1.

    Scores are 1 - (p_(1) - p_(2)), in [0, 1]. Ties, fallback and cost: see `Uncertain`.
    """

    score = staticmethod(scores.small_margin)
    say = staticmethod(torn)

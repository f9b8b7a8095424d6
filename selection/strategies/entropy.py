"""Entropy: the most spread guess first."""

from __future__ import annotations

from dataclasses import dataclass

from selection.kernels import scores
from selection.registry import register
from selection.uncertain import Uncertain, spread


@register("entropy", needs=Uncertain.needs, tags=Uncertain.tags, refers={"fallback"})
@dataclass(frozen=True)
class Entropy(Uncertain):
    """Entropy: the image whose guess is most spread over the classes first.

    -sum_k p_k ln p_k descending (Shannon 1948; Settles, "Active learning literature survey", 2009). Reference codes
    take log 0 and rank the NaN first; here 0 ln 0 = 0, so that a certain row is last.

    Scores are in nats, in [0, ln c]. Ties, fallback and cost: see `Uncertain`.
    """

    score = staticmethod(scores.entropy)
    say = staticmethod(spread)

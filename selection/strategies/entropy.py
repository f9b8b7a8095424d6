"""Entropy: the most spread guess first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selection.contract import IntArray
from selection.kernels import scores
from selection.registry import FORMS, register
from selection.uncertain import Uncertain, spread, spread_over_sets


@register("entropy", needs=Uncertain.needs, tags=Uncertain.tags, refers={"fallback"}, forms=FORMS)
@dataclass(frozen=True)
class Entropy(Uncertain):
    """Entropy: the image whose guess is most spread over the classes first.

    -sum_k p_k ln p_k descending (Shannon 1948; Settles, "Active learning literature survey", 2009). Reference codes
    take log 0 and rank the NaN first; here 0 ln 0 = 0, so that a certain row is last.

    With sets of classes: sum_k w_k H(p_k) over the classes' own entropies, w_k = 1 / sqrt(1 + positives of class k)
    (Esuli & Sebastiani, "Active learning strategies for multi-label text classification", ECIR 2009, sum over classes;
    the weights follow Brust et al., "Active learning for deep object detection", VISAPP 2019). The plain sum was below
    random in our measurements.

    Scores are in nats; with one class an image in [0, ln c]. Ties, fallback and cost: see `Uncertain`.
    """

    score = staticmethod(scores.entropy)
    say = staticmethod(spread)
    say_sets = staticmethod(spread_over_sets)

    @staticmethod
    def score_sets(probs: NDArray[np.float64], positives: IntArray) -> NDArray[np.float64]:
        """See `entropy_of_sets`, rare classes weighing more."""
        return scores.entropy_of_sets(probs, 1.0 / np.sqrt(1.0 + positives))

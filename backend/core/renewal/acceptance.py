"""Whether new features are better than the present ones, for the live renewal and for the simulation alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import selection
from selection.proxy.acceptance import Comparison, compare, recalibrated


def compare_features(
    old: NDArray[np.float16],
    new: NDArray[np.float16],
    labels: NDArray[np.int64],
    unseen: NDArray[np.bool_],
    classes: int,
    *,
    seed: int,
) -> Comparison:
    """Heads trained on the same labels of both features, compared on labels that fine-tuning and heads never saw.

    old (n, d) and new (n, d') are of the same rows; labels (n,); unseen (n,) are the rows that judge, and only them.
    Both heads are calibrated on the other fold of these labels: a head on fine-tuned features is too sure of itself,
    because its own labels were fitted twice. Cost: two trainings of a head.
    """
    from selection.proxy.learn import learn

    known = np.where(unseen, selection.SKIPPED, labels)
    truth = labels[unseen]
    probs = [recalibrated(learn(vectors, known, classes, seed=seed).probs[unseen], truth) for vectors in (old, new)]
    return compare(probs[0], probs[1], truth)

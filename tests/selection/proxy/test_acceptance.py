"""New features are accepted only when unseen labels show that they are better."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_rel

from selection.contract import BadParameter
from selection.proxy.acceptance import compare, recalibrated


def probs(truth: np.ndarray, sureness: float, wrong: int, seed: int) -> np.ndarray:
    """Probabilities (m, 3) that are `sureness` for the truth, but for `wrong` rows."""
    rng = np.random.default_rng(seed)
    told = truth.copy()
    told[rng.choice(len(truth), wrong, replace=False)] += 1
    made = np.full((len(truth), 3), (1 - sureness) / 2) + rng.uniform(0, 0.01, (len(truth), 3))
    made[np.arange(len(truth)), told % 3] = sureness
    return made / made.sum(1, keepdims=True)


TRUTH = np.random.default_rng(0).integers(0, 3, 60)


def test_clearly_better_probabilities_are_better() -> None:
    found = compare(probs(TRUTH, 0.6, 20, 1), probs(TRUTH, 0.8, 5, 2), TRUTH)
    assert found.better
    assert (found.accuracy_old, found.accuracy_new) == (pytest.approx(40 / 60), pytest.approx(55 / 60))
    assert "66.7% to 91.7%" in found.reason


def test_the_same_or_worse_is_not_better() -> None:
    good, bad = probs(TRUTH, 0.8, 5, 2), probs(TRUTH, 0.6, 20, 1)
    assert not compare(good, good, TRUTH).better
    assert not compare(good, bad, TRUTH).better


def test_surer_but_less_often_right_is_not_better() -> None:
    assert not compare(probs(TRUTH, 0.4, 5, 1), probs(TRUTH, 0.9, 7, 2), TRUTH).better


def test_a_gain_within_the_noise_is_not_better() -> None:
    old, new = probs(TRUTH[:10], 0.6, 3, 1), probs(TRUTH[:10], 0.6, 2, 2)
    found = compare(old, new, TRUTH[:10])
    assert found.gain > 0
    assert not found.better


def test_the_p_value_is_the_paired_t_tests() -> None:
    old, new = probs(TRUTH, 0.6, 20, 1), probs(TRUTH, 0.7, 12, 2)
    rows = np.arange(len(TRUTH))
    losses = [-np.log(p[rows, TRUTH]) for p in (old, new)]
    assert compare(old, new, TRUTH).p == pytest.approx(ttest_rel(*losses, alternative="greater").pvalue)


def test_too_few_labels_decide_nothing() -> None:
    assert not compare(np.array([[0.1, 0.9]]), np.array([[0.9, 0.1]]), np.array([0])).better


def test_a_probability_of_zero_is_no_infinite_loss() -> None:
    old = np.tile([1.0, 0.0], (4, 1))
    found = compare(old, old[:, ::-1].copy(), np.array([1, 1, 1, 1]))
    assert found.better
    assert np.isfinite(found.gain)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(BadParameter, match="fit together"):
        compare(np.ones((3, 2)), np.ones((4, 2)), np.zeros(3, np.int64))


def test_overconfidence_alone_does_not_make_features_worse() -> None:
    honest = probs(TRUTH, 0.6, 20, 1)
    better = probs(TRUTH, 0.7, 8, 2)
    too_sure = better**6 / (better**6).sum(1, keepdims=True)
    assert not compare(honest, too_sure, TRUTH).better
    found = compare(recalibrated(honest, TRUTH), recalibrated(too_sure, TRUTH), TRUTH)
    assert found.better
    assert found.accuracy_new == pytest.approx(52 / 60)


def test_no_label_calibrates_itself() -> None:
    made = probs(TRUTH, 0.7, 12, 2)
    poisoned = TRUTH.copy()
    poisoned[::2] = (poisoned[::2] + 1) % 3
    np.testing.assert_array_equal(recalibrated(made, TRUTH)[::2], recalibrated(made, poisoned)[::2])

from __future__ import annotations

import numpy as np
import pytest

from selection import BadParameter
from selection.proxy.calibration import (
    NO_FOLD,
    confusion_pairs,
    expected_calibration_error,
    fit_temperature,
    log_loss,
    recall_per_class,
    softmax,
    stratified_folds,
    wilson,
)


def test_folds_hold_equal_shares_of_every_class():
    labels = np.repeat([0, 1, 2], [50, 25, 10])
    folds = stratified_folds(labels, 5, np.random.default_rng(0))
    counts = np.array([np.bincount(folds[labels == c], minlength=5) for c in range(3)])
    assert counts.tolist() == [[10] * 5, [5] * 5, [2] * 5]


def test_fold_sizes_differ_by_one_at_most_over_many_small_classes():
    labels = np.repeat(np.arange(13), 2)
    folds = stratified_folds(labels, 5, np.random.default_rng(0))
    sizes = np.bincount(folds, minlength=5)
    assert sizes.max() - sizes.min() <= 1
    assert all(folds[2 * c] != folds[2 * c + 1] for c in range(13))  # one stays to learn from


def test_a_class_seen_once_is_never_held_out():
    folds = stratified_folds(np.array([0, 0, 1]), 5, np.random.default_rng(0))
    assert folds[2] == NO_FOLD
    assert (folds[:2] != NO_FOLD).all()


def test_less_than_two_folds_are_refused():
    with pytest.raises(BadParameter, match="n_folds"):
        stratified_folds(np.zeros(3, np.int64), 1, np.random.default_rng(0))


def test_wilson_equals_the_published_example_and_survives_the_ends():
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)  # Newcombe, Stat. Med. 1998, table I
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(0, 20)[0] == 0.0
    assert wilson(20, 20)[1] == 1.0


def test_temperature_recovers_the_factor_by_which_logits_were_blown_up():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(5000, 4)) * 2
    labels = np.array([rng.choice(4, p=p) for p in softmax(logits)])
    temperature, loss = fit_temperature(3 * logits, labels)
    assert temperature == pytest.approx(3, rel=0.08)
    assert loss == pytest.approx(log_loss(softmax(3 * logits / temperature), labels), abs=1e-9)


def test_temperature_of_few_labels_stays_near_one():
    assert fit_temperature(np.array([[9.0, 0.0]]), np.array([0]))[0] == pytest.approx(1, rel=0.3)
    assert fit_temperature(np.empty((0, 3)), np.empty(0, np.int64)) == (1.0, 0.0)


def test_temperature_takes_logits_of_minus_infinity():
    temperature, loss = fit_temperature(np.array([[2.0, -np.inf, 0.0]] * 4), np.array([0, 0, 0, 2]))
    assert np.isfinite([temperature, loss]).all()


def test_calibration_error_is_nought_for_honest_and_large_for_boastful_probabilities():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, 20000)
    probs = np.stack([confidence, 1 - confidence], axis=1)
    honest = (rng.uniform(size=20000) > confidence).astype(np.int64)
    assert expected_calibration_error(probs, honest) < 0.02
    assert expected_calibration_error(np.array([[1.0, 0.0]] * 40), np.array([0, 1] * 20)) == pytest.approx(0.5)
    assert expected_calibration_error(np.empty((0, 2)), np.empty(0, np.int64)) == 0.0


def test_recall_and_confusions_count_by_true_class():
    labels = np.array([0, 0, 0, 1, 1, 3])
    predicted = np.array([0, 1, 1, 1, 0, 3])
    np.testing.assert_allclose(recall_per_class(predicted, labels, 4), [1 / 3, 1 / 2, np.nan, 1])
    pairs = [(p.true, p.predicted, p.count) for p in confusion_pairs(predicted, labels)]
    assert pairs == [(0, 1, 2), (1, 0, 1)]

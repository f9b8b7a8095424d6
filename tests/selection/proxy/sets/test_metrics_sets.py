"""Metrics, calibration and thresholds of sets, against plain definitions and scikit-learn."""

import numpy as np
import pytest
from scipy.special import expit

from selection.proxy.calibrate_sets import fit_scaling, suggestions, thresholds
from selection.proxy.metrics_sets import average_precision, judge_sets


def test_average_precision_is_that_of_scikit_learn_ties_and_weights_included():
    from sklearn.metrics import average_precision_score

    rng = np.random.default_rng(0)
    for m in (1, 2, 7, 60):
        there = rng.random(m) < 0.4
        there[0] = True
        for scores in (rng.random(m), rng.integers(0, 3, m) / 2.0, np.zeros(m)):
            assert average_precision(scores, there) == pytest.approx(average_precision_score(there, scores))
            weights = rng.integers(1, 4, m).astype(float)
            wanted = average_precision_score(there, scores, sample_weight=weights)
            assert average_precision(scores, there, weights) == pytest.approx(wanted)
    assert np.isnan(average_precision(np.ones(3), np.zeros(3, bool)))


def test_means_leave_out_classes_that_are_not_shown_both_ways():
    from sklearn.metrics import average_precision_score, f1_score

    rng = np.random.default_rng(1)
    probs = rng.random((200, 5))
    present = rng.random((200, 5)) < probs
    present[:, 3], present[:, 4] = False, True
    found = judge_sets(probs, present, np.full(5, 0.5))
    assert found.judged == 3 and np.isnan(found.average_precision[3:]).all() and np.isnan(found.f1[3:]).all()
    wanted = average_precision_score(present[:, :3], probs[:, :3])
    assert found.mean_average_precision.value == pytest.approx(wanted)
    assert found.mean_average_precision.low < wanted < found.mean_average_precision.high
    assert found.macro_f1.value == pytest.approx(f1_score(present[:, :3], probs[:, :3] >= 0.5, average="macro"))
    assert found.exact == int(((probs >= 0.5) == present).all(1).sum()) and found.exact_of == 200
    nothing = judge_sets(probs[:0], present[:0], np.full(5, 0.5))
    assert nothing.macro_f1.value is None and (nothing.macro_f1.low, nothing.macro_f1.high) == (0.0, 1.0)


def test_the_intervals_hold_the_mean_of_the_population_about_as_often_as_they_say():
    rng = np.random.default_rng(2)
    probs = rng.random((20000, 4)) ** 2
    present = rng.random((20000, 4)) < probs
    cut = np.full(4, 0.4)
    whole = judge_sets(probs, present, cut, draws=2)
    held = np.zeros(2)
    for seed in range(80):
        rows = rng.choice(20000, 150, replace=False)
        some = judge_sets(probs[rows], present[rows], cut, seed=seed, draws=100)
        for at, name in enumerate(("mean_average_precision", "macro_f1")):
            part, truth = getattr(some, name), getattr(whole, name).value
            held[at] += part.low <= truth <= part.high
    assert (held >= 68).all(), held


def test_entries_that_were_not_held_out_do_not_count():
    rng = np.random.default_rng(3)
    probs, present = rng.random((50, 2)), rng.random((50, 2)) < 0.5
    holed = probs.copy()
    holed[40:, 1] = np.nan
    found = judge_sets(holed, present, np.full(2, 0.5))
    assert found.average_precision[1] == pytest.approx(average_precision(probs[:40, 1], present[:40, 1]))
    assert found.exact_of == 40


def test_scaling_mends_many_labels_shrinks_few_and_leaves_unjudged_classes_with_the_shared_slope():
    rng = np.random.default_rng(4)
    z = rng.normal(size=(3000, 4)) * 2
    present = rng.random((3000, 4)) < expit(0.5 * z + np.array([0, 1, 0, 0]))
    held_out = 1.0 * z
    held_out[:, 3] = np.nan
    held_out[8:, 2] = np.nan
    found = fit_scaling(held_out, present)
    np.testing.assert_allclose(found.slope[:2], 0.5, atol=0.06)
    assert found.shift[1] == pytest.approx(1.0, abs=0.15)
    assert abs(found.slope[2] - 0.5) < 0.15 and abs(found.shift[2]) < 0.3
    assert found.shift[3] == 0 and found.slope[3] == pytest.approx(found.slope[:2].mean(), abs=0.1)
    same = fit_scaling(np.full((5, 2), np.nan), np.zeros((5, 2), bool))
    assert same.slope.tolist() == [1, 1] and same.shift.tolist() == [0, 0]


def test_scaling_is_the_minimum_of_its_penalised_loss():
    from scipy.optimize import minimize

    from selection.proxy import calibrate_sets as module

    rng = np.random.default_rng(5)
    z = rng.normal(size=(60, 3)) * [1, 3, 0.3]
    present = rng.random((60, 3)) < expit(z + np.array([0, -1, 1]))
    shared = module._shared_slope(z.ravel(), present.ravel())
    found = fit_scaling(z, present)
    for k in range(3):

        def loss(at, k=k):
            told = np.logaddexp(0, np.where(present[:, k], -1, 1) * (at[0] * z[:, k] + at[1])).sum()
            return told + ((at[0] - shared) / (0.3 * shared)) ** 2 / 2 + (at[1] / 0.3) ** 2 / 2

        wanted = minimize(loss, [shared, 0.0], tol=1e-10).x
        np.testing.assert_allclose([found.slope[k], found.shift[k]], wanted, atol=1e-3)


def test_thresholds_are_half_the_best_expected_f1_and_suggestions_are_likelier_than_not():
    rng = np.random.default_rng(6)
    probs = rng.random((4000, 2)) ** [1, 4]
    cut = thresholds(probs)
    present = rng.random((4000, 2)) < probs
    for k in range(2):
        grid = np.linspace(0.05, 0.95, 91)
        f1 = [
            2 * (present[:, k] & (probs[:, k] >= t)).sum() / (present[:, k].sum() + (probs[:, k] >= t).sum())
            for t in grid
        ]
        assert cut[k] == pytest.approx(max(f1) / 2, abs=0.02)
        assert cut[k] == pytest.approx(grid[int(np.argmax(f1))], abs=0.07)
    assert thresholds(np.full((3, 1), np.nan)).tolist() == [0.5] and thresholds(np.empty((0, 2))).tolist() == [0.5, 0.5]
    assert suggestions(np.array([[0.4, 0.6]]), np.array([0.2, 0.2])).tolist() == [[False, True]]


def test_the_audit_of_exact_sets_is_that_of_one_share_and_stands_for_its_population():
    from selection.proxy.anytime import interval
    from selection.proxy.audit_sets import audit_sets

    rng = np.random.default_rng(7)
    probs = rng.random((60, 2))
    present = rng.random((60, 2)) < probs
    found = audit_sets(probs, present, np.full(2, 0.5), population=500)
    right = int(((probs >= 0.5) == present).all(1).sum())
    assert found.exact == right / 60 and (found.low, found.high) == interval(right, 60, 500, 0.05)
    assert found.metrics.judged == 2 and found.population == 500
    nothing = audit_sets(probs[:0], present[:0], np.full(2, 0.5), population=500)
    assert (nothing.exact, nothing.low, nothing.high) == (None, 0.0, 1.0)

from __future__ import annotations

import numpy as np
import pytest

from selection import BadParameter
from selection.proxy import calibrate as module
from selection.proxy.calibrate import Calibration, expand, signed_power
from tests.selection.proxy.blobs import blobs, pool_labels


def grown(features, truth, given, settings=None, seed=0, n_classes=4):
    labels = pool_labels(truth, given)
    return expand(features, labels, n_classes, np.random.default_rng(seed), settings=settings)


def one_each(truth, count=1):
    return np.concatenate([np.flatnonzero(truth == c)[:count] for c in range(4)])


def gaussians(features, truth, given, alpha):
    space = module._transform(features, 0.5)
    args = (space, pool_labels(truth, given), np.sort(given), 4)
    return space, module._calibrate(*args, np.random.default_rng(0), Calibration(alpha=alpha), "cpu")


def test_the_power_keeps_signs():
    np.testing.assert_allclose(signed_power(np.float32([-0.25, 0, 0.25]), 0.5), [-0.5, 0, 0.5])
    np.testing.assert_allclose(signed_power(np.float32([-0.25, 0.3]), 1), [-0.25, 0.3])
    np.testing.assert_allclose(signed_power(np.float32([-np.e, 0, np.e]), 0), [-1, 0, 1], rtol=1e-6)


def test_pure_clusters_give_right_pseudo_labels_on_new_rows_only():
    features, truth = blobs(n=400, gap=8.0)
    given = np.concatenate([one_each(truth), np.flatnonzero(truth == 0)[1:8]])  # lopsided: there is room to mend
    added = grown(features - 5, truth, given)
    assert len(added) >= 6
    assert (added.labels > 0).all()
    assert (added.labels == truth[added.rows]).all()
    assert len(set(added.rows)) == len(added)
    assert not set(added.rows) & set(given)
    np.testing.assert_allclose(added.weights, 0.5)


def test_alpha_nought_means_the_clusters_mean_and_infinity_that_of_the_labels():
    features, truth = blobs(n=200, gap=8.0)
    given = one_each(truth, 2)
    space, at_nought = gaussians(features - 5, truth, given, 0.0)
    _, at_infinity = gaussians(features - 5, truth, given, np.inf)
    for c in range(4):
        np.testing.assert_allclose(at_nought[c].mean, space[truth == c].mean(0), atol=1e-5)
        np.testing.assert_allclose(at_infinity[c].mean, space[given[truth[given] == c]].mean(0), atol=1e-5)


def test_draws_have_the_clusters_covariance_plus_xi_in_every_entry():
    features, truth = blobs(n=200, d=5, gap=8.0)
    space, found = gaussians(features - 5, truth, one_each(truth), 0.0)
    draws = found[0].sample(space, 60000, 0.2, np.random.default_rng(0))
    want = np.cov(space[truth == 0].T) + 0.2
    np.testing.assert_allclose(np.cov(draws.T), want, atol=0.01)
    np.testing.assert_allclose(draws.mean(0), found[0].mean, atol=0.02)


def test_labels_of_other_rows_are_never_read():
    features, truth = blobs(n=300)
    given = one_each(truth, 4)
    poisoned = np.full_like(truth, 99)
    poisoned[given] = truth[given]
    clean, dirty = grown(features, truth, given), grown(features, poisoned, given)
    assert (clean.rows == dirty.rows).all()
    assert (clean.labels == dirty.labels).all()
    assert (clean.weights == dirty.weights).all()


def test_an_exhausted_pool_ends_the_draws():
    features, truth = blobs(n=40)
    labels = truth.copy()
    labels[[3, 7]] = -1
    added = expand(features, labels, 4, np.random.default_rng(0))
    assert set(added.rows) <= {3, 7}
    labels[[3, 7]] = -2
    assert len(expand(features, labels, 4, np.random.default_rng(0))) == 0


def test_no_label_and_skipped_rows_add_nothing():
    features, truth = blobs(n=60)
    assert len(grown(features, truth, [])) == 0
    labels = pool_labels(truth, one_each(truth))
    labels[labels == -1] = -2
    assert len(expand(features, labels, 4, np.random.default_rng(0))) == 0


def test_a_cluster_that_classes_share_lowers_the_weight():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(100, 6)).astype(np.float32) + 5
    added = expand(features, pool_labels(np.arange(100) % 2, np.arange(20)), 1 + 1, rng)
    assert len(added)
    assert (added.weights < 0.5).all()


def test_the_filter_never_lets_the_set_drift_from_the_pool():
    features, truth = blobs(n=300)
    given = np.flatnonzero(truth == 0)[:10]
    space = module._transform(features, 0.5)
    added = grown(features, truth, given)
    gaps = [
        np.linalg.norm(space[np.concatenate([given, added.rows[:k]])].mean(0) - space.mean(0))
        for k in range(len(added) + 1)
    ]
    assert (np.diff(gaps) <= 1e-6).all()


def test_the_same_seed_gives_the_same_rows():
    features, truth = blobs(n=200)
    given = one_each(truth, 2)
    assert (grown(features, truth, given).rows == grown(features, truth, given).rows).all()


def test_equal_rows_noughts_and_a_class_of_one_row_do_not_break_it():
    features = np.zeros((30, 4), np.float32)
    features[20:] = 1
    added = expand(features, pool_labels(np.arange(30) // 20, np.array([0, 29])), 2, np.random.default_rng(0))
    assert np.isfinite(added.weights).all()


@pytest.mark.parametrize(
    "bad", [{"alpha": -1}, {"xi": -0.1}, {"tukey": 2}, {"weight": 1.0}, {"weight": 0}, {"redraws": 0}]
)
def test_parameters_out_of_range_are_refused(bad):
    with pytest.raises(BadParameter, match="need"):
        Calibration(**bad)


def test_a_label_beyond_the_classes_is_refused():
    features, truth = blobs(n=30)
    with pytest.raises(BadParameter, match="n_classes"):
        expand(features, pool_labels(truth, np.arange(20)), 2, np.random.default_rng(0))

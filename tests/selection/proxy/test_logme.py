from __future__ import annotations

import numpy as np
import pytest

from selection.proxy import logme as module
from selection.proxy.logme import logme


@pytest.fixture
def golden():
    n, k = np.arange(400)[:, None], np.arange(1, 9)
    x = 0.35 * np.sin(0.37 * n * k) + np.cos(1.7 * (n % 5 + 1) * k)
    return x / np.linalg.norm(x, axis=1, keepdims=True), np.arange(400) % 5


def wide():
    return np.random.RandomState(0).randn(60, 128), np.arange(60) % 5


def test_it_equals_the_published_code_where_rank_is_full(golden):
    assert logme(*golden) == pytest.approx(0.4452772939080756, abs=1e-8)


def test_columns_of_noughts_change_nothing(golden):
    features, labels = golden
    padded = np.concatenate([features, np.zeros((400, 8))], axis=1)
    assert logme(padded, labels) == pytest.approx(0.4452772939080756, abs=1e-8)


def test_it_is_exact_where_labels_are_fewer_than_dims():
    assert logme(*wide()) == pytest.approx(-0.6345950828651206, abs=1e-8)


def test_the_evidence_is_the_density_of_the_labels_under_the_dense_gaussian(monkeypatch):
    monkeypatch.setattr(module, "TOLERANCE", 1e-12)
    monkeypatch.setattr(module, "STEPS", 2000)
    monkeypatch.setattr(module, "FLOOR", 0.0)
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 12))
    labels = (features[:, 0] + rng.normal(size=40) > 0).astype(np.int64)
    targets = np.eye(2)[labels]
    sigma, z2 = module._spectrum(features, targets)
    ours = module._evidence(sigma, z2, targets.sum(0), 40)

    def density(log_alpha, log_beta, y):
        covariance = np.eye(40) / np.exp(log_beta) + features @ features.T / np.exp(log_alpha)
        return -(np.linalg.slogdet(2 * np.pi * covariance)[1] + y @ np.linalg.solve(covariance, y)) / 80

    from scipy.optimize import minimize

    for column in range(2):
        y = targets[:, column]
        best = minimize(lambda v, y=y: -density(*v, y), np.zeros(2), method="Nelder-Mead", tol=1e-12)
        assert ours[column] == pytest.approx(-best.fun, rel=1e-6)  # its maximum, and no other value


def test_rotation_and_scale_change_nothing(golden):
    features, labels = golden
    q = np.linalg.qr(np.random.default_rng(0).normal(size=(8, 8)))[0]
    assert logme(features @ q, labels) == pytest.approx(logme(features, labels), abs=1e-9)
    assert logme(10 * features, labels) == pytest.approx(logme(features, labels), abs=1e-5)


def test_shuffled_labels_score_lower(golden):
    features, labels = golden
    assert logme(features, np.random.default_rng(0).permutation(labels)) < logme(features, labels) - 0.1


def test_numbers_of_classes_do_not_matter(golden):
    features, labels = golden
    assert logme(features, np.array([3, 90, 7, 1, 40])[labels]) == pytest.approx(logme(features, labels), abs=1e-12)


@pytest.mark.parametrize("labels", [[1] * 10, [0, 1, 2, 3, 4, 5] + [0] * 4])
def test_one_class_or_too_few_labels_say_nothing(labels):
    assert logme(np.random.default_rng(0).normal(size=(10, 4)), np.array(labels)) is None


def test_features_that_are_all_nought_say_nothing():
    assert logme(np.zeros((20, 4)), np.arange(20) % 2) is None

from __future__ import annotations

import numpy as np
import pytest

from selection import BadParameter
from selection.proxy.logme import logme
from selection.proxy.ped import RATE, logme_ped, push_apart

ZERO, ONE = np.zeros(6), np.ones(6)


def two_clouds(gap, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(80) % 2
    return rng.normal(size=(80, 6)) + gap * np.eye(6)[0] * labels[:, None], labels


def gap(features, labels):
    return np.linalg.norm(features[labels == 0].mean(0) - features[labels == 1].mean(0))


def test_overlapping_clouds_move_apart_and_keep_their_shape():
    features, labels = two_clouds(0.8)
    moved = push_apart(features, labels, ZERO, ONE)
    assert gap(moved, labels) > gap(features, labels)
    for c in range(2):
        old, new = features[labels == c], moved[labels == c]
        np.testing.assert_allclose(new - new.mean(0), old - old.mean(0), atol=1e-12)


def test_one_step_is_the_published_share_of_the_overlap(monkeypatch):
    monkeypatch.setattr("selection.proxy.ped.MAX_STEPS", 1)
    features, labels = two_clouds(0.8)
    radii = [np.sqrt(features[labels == c].var(0).sum()) for c in range(2)]
    overlap = 0.6 * sum(radii) - gap(features, labels)
    grown = gap(push_apart(features, labels, ZERO, ONE), labels) - gap(features, labels)
    assert grown == pytest.approx(2 * RATE * overlap, rel=1e-9)


def test_separate_clouds_stay():
    features, labels = two_clouds(8.0)
    np.testing.assert_allclose(push_apart(features, labels, ZERO, ONE), features, atol=1e-12)


def test_identical_means_and_single_rows_stay_finite():
    features = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1], [0.1, 0.2]])
    moved = push_apart(features, np.array([0, 0, 1, 1, 2]), np.zeros(2), np.ones(2))
    assert np.isfinite(moved).all()


def test_the_pull_over_many_classes_equals_the_sum_over_pairs():
    from selection.proxy.ped import _shift

    rng = np.random.default_rng(0)
    means, radius = rng.normal(size=(5, 3)), rng.uniform(0.5, 2, 5)
    want = np.zeros_like(means)
    for a in range(5):
        for b in range(5):
            if a != b:
                line = means[a] - means[b]
                distance = np.linalg.norm(line)
                want[a] += RATE * max(radius[a] + radius[b] - distance, 0) * line / distance
    np.testing.assert_allclose(_shift(means, radius), want, atol=1e-12)


def test_the_pools_scale_is_undone_and_class_numbers_do_not_matter():
    features, labels = two_clouds(0.8)
    scale, mean = np.array([1, 10, 0.1, 2, 5, 1.0]), np.arange(6.0)
    moved = push_apart(features * scale + mean, labels, mean, scale)
    np.testing.assert_allclose(moved, push_apart(features, labels, ZERO, ONE) * scale + mean, atol=1e-9)
    np.testing.assert_array_equal(
        push_apart(features, 7 + 3 * labels, ZERO, ONE), push_apart(features, labels, ZERO, ONE)
    )


def test_head_room_is_positive_for_overlap_and_nought_for_separate_clouds():
    near, labels = two_clouds(0.8)
    far, _ = two_clouds(9.0)
    assert logme_ped(near, labels, ZERO, ONE) > logme(near, labels)
    assert logme_ped(far, labels, ZERO, ONE) == pytest.approx(logme(far, labels), abs=1e-9)


def test_one_class_gives_none_and_a_senseless_reach_is_refused():
    features, labels = two_clouds(1.0)
    assert logme_ped(features, 0 * labels, ZERO, ONE) is None
    with pytest.raises(BadParameter, match="reach"):
        push_apart(features, labels, ZERO, ONE, reach=0)

from __future__ import annotations

import numpy as np
import pytest

from selection.proxy.heads.blend import blend_weights, pool_logs, prior_weights

KINDS = ["linear", "spread", "smooth"]


def views(sharp, m=200, seed=0):
    """Held-out log probabilities of heads that are right more or less often, and the labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, m)
    out = []
    for strength in sharp:
        logits = rng.normal(size=(m, 3)) + strength * np.eye(3)[labels]
        out.append(logits - np.log(np.exp(logits).sum(1, keepdims=True)))
    return out, labels


def test_the_prior_goes_from_spreading_to_the_linear_head_as_labels_grow():
    few, many = prior_weights(KINDS, 1), prior_weights(KINDS, 1000)
    assert KINDS[few.argmax()] == "spread"
    assert KINDS[many.argmax()] == "linear"
    for labels in (0.5, 3, 30, 300):
        assert prior_weights(KINDS, labels).sum() == pytest.approx(1)


def test_without_evidence_the_weights_stay_near_the_prior():
    prior = np.array([0.2, 0.5, 0.3])
    weights = blend_weights([np.empty((0, 3))] * 3, np.empty(0, np.int64), prior)
    assert weights.sum() == pytest.approx(1)
    assert np.abs(weights - prior).max() < 0.15


def test_evidence_moves_the_weight_to_the_head_that_is_right():
    out, labels = views([0.0, 0.0, 3.0])
    weights = blend_weights(out, labels, prior_weights(KINDS, 1))
    assert weights.argmax() == 2
    assert weights[2] > 0.8


def test_two_independent_heads_share_the_weight():
    out, labels = views([2.0, 2.0, 0.0])
    weights = blend_weights(out, labels, np.array([0.4, 0.3, 0.3]))
    assert weights[0] > 0.25
    assert weights[1] > 0.25


def test_one_label_does_not_make_the_weights_jump():
    out, labels = views([3.0, 0.0, 0.0], m=1)
    prior = prior_weights(KINDS, 1)
    moved = blend_weights(out, labels, prior) - blend_weights([np.empty((0, 3))] * 3, labels[:0], prior)
    assert np.abs(moved).max() < 0.15


def test_a_class_that_no_head_knows_stays_impossible():
    with np.errstate(divide="ignore"):
        logs = [np.log(np.array([[0.5, 0.5, 0.0]])), np.log(np.array([[1.0, 0.0, 0.0]]))]
    pooled = pool_logs(logs, np.array([0.5, 0.5]))
    assert np.isneginf(pooled[0, 2])
    assert np.isfinite(pooled[0, :2]).all()

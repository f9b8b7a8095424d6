from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from selection import BadParameter, BadVector
from selection.proxy.heads.linear import LinearHead, fit_linear, moments, probabilities
from tests.selection.proxy.blobs import blobs


@pytest.mark.parametrize("m", [40, 250], ids=["fewer rows than dims", "more rows than dims"])
@pytest.mark.parametrize("l2", [1.0, 0.01])
def test_weights_equal_those_of_scikit_learn(m, l2):
    features, labels = blobs(n=400, d=60)
    mean, scale = moments(features)
    fit = fit_linear(features[:m], labels[:m], 4, seed=0, mean=mean, scale=scale, l2=l2)
    oracle = LogisticRegression(C=1 / (l2 * m), tol=1e-8, max_iter=5000)
    oracle.fit((features[:m] - mean) / scale, labels[:m])
    theirs = oracle.predict_proba((features - mean) / scale)
    ours = probabilities(LinearHead(fit.head.weight, fit.head.bias, 1.0), features)
    assert np.abs(ours - theirs).max() < 5e-3  # the solver stops at a relative gain of 1e-5
    assert (ours.argmax(1) == theirs.argmax(1)).mean() > 0.99


def test_moments_equal_numpys_for_large_offsets_and_constant_dims():
    features = np.random.default_rng(0).normal(1000, 2, (9000, 3)).astype(np.float32)
    features[:, 1] = 7
    mean, scale = moments(features)
    np.testing.assert_allclose(mean, features.mean(0, dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(scale[[0, 2]], features.std(0, dtype=np.float64)[[0, 2]], rtol=1e-5)
    assert scale[1] == 1


def test_moments_name_the_first_row_that_is_not_finite():
    features = np.zeros((9000, 2), np.float32)
    features[[8500, 8700], 1] = np.nan
    with pytest.raises(BadVector, match="row 8500"):
        moments(features)


def test_held_out_predictions_come_from_fits_without_that_fold():
    features, labels = blobs(n=120)
    fit = fit_linear(features, labels, 4, seed=3, l2=0.1)
    mean, scale = moments(features)
    for fold in range(5):
        train = fit.folds != fold
        alone = fit_linear(features[train], labels[train], 4, seed=0, mean=mean, scale=scale, l2=0.1).head
        logits = features[~train] @ alone.weight + alone.bias
        centred = logits - logits.mean(1, keepdims=True)
        ours = fit.out_of_fold[~train] - fit.out_of_fold[~train].mean(1, keepdims=True)
        assert np.abs(ours - centred).max() < 0.15


def test_a_class_without_labels_has_probability_nought_and_a_new_one_joins():
    features, labels = blobs()
    old = labels != 2
    fit = fit_linear(features[old], labels[old], 6, seed=0)
    probs = probabilities(fit.head, features)
    assert (probs[:, [2, 4, 5]] == 0).all()
    np.testing.assert_allclose(probs.sum(1), 1, rtol=1e-5)
    assert (probabilities(fit_linear(features, labels, 6, seed=0).head, features)[:, 2] > 0).all()


def test_one_class_is_predicted_everywhere():
    features, _ = blobs(n=30)
    fit = fit_linear(features[:4], np.full(4, 2), 3, seed=0)
    assert (probabilities(fit.head, features) == [0, 0, 1]).all()


def test_without_labels_every_class_is_equally_probable():
    features, _ = blobs(n=30)
    fit = fit_linear(features[:0], np.empty(0, np.int64), 4, seed=0)
    np.testing.assert_allclose(probabilities(fit.head, features), 0.25)


def test_classes_seen_once_are_learnt_and_not_judged():
    features, labels = blobs(n=60, gap=5.0)
    rows = np.array([np.flatnonzero(labels == c)[0] for c in range(4)])
    mean, scale = moments(features)
    fit = fit_linear(features[rows], labels[rows], 4, seed=0, mean=mean, scale=scale)
    assert np.isnan(fit.out_of_fold).all()
    assert (probabilities(fit.head, features).argmax(1) == labels).mean() > 0.9


def test_one_hot_features_are_separated_perfectly():
    labels = np.arange(40) % 8
    fit = fit_linear(np.eye(8, dtype=np.float32)[labels], labels, 8, seed=0)
    assert (fit.out_of_fold.argmax(1) == labels).all()


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_read_only_memory_maps_and_strides_give_the_same_probabilities(tmp_path, kind):
    features, labels = blobs(n=100)
    features = features.astype(np.float16)
    want = probabilities(fit_linear(features, labels, 4, seed=0).head, features)
    np.save(tmp_path / "f.npy", features.astype(kind))
    mapped = np.load(tmp_path / "f.npy", mmap_mode="r")
    np.testing.assert_allclose(probabilities(fit_linear(mapped, labels, 4, seed=0).head, mapped), want, atol=1e-6)
    backwards = features.astype(kind)[::-1]
    np.testing.assert_allclose(
        probabilities(fit_linear(backwards[::-1], labels, 4, seed=0).head, backwards), want[::-1], atol=1e-6
    )


def test_the_same_seed_gives_the_same_head_and_global_randomness_is_left_alone():
    features, labels = blobs()
    before = np.random.get_state()[1].copy()
    one, two = (fit_linear(features, labels, 4, seed=5).head for _ in range(2))
    assert (one.weight == two.weight).all()
    assert one.temperature == two.temperature
    assert (np.random.get_state()[1] == before).all()


@pytest.mark.parametrize(("labels", "n_classes"), [([0, -1], 2), ([0, 2], 2), ([0], 2), ([0, 0], 0)])
def test_labels_out_of_range_are_refused(labels, n_classes):
    with pytest.raises(BadParameter):
        fit_linear(np.zeros((2, 3), np.float32), np.array(labels), n_classes, seed=0)


def test_copies_of_rows_and_constant_features_do_not_break_the_fit():
    fit = fit_linear(np.ones((6, 3), np.float32), np.array([0, 1, 0, 1, 0, 0]), 2, seed=0)
    probs = probabilities(fit.head, np.ones((1, 3), np.float32))
    assert np.isfinite(probs).all()
    assert probs[0, 0] > 0.5


def test_the_short_search_of_many_labels_still_judges_all_of_them(monkeypatch):
    features, labels = blobs(n=400, d=30)
    full = fit_linear(features, labels, 4, seed=0)
    monkeypatch.setattr("selection.proxy.heads.linear.MANY", 100)
    short = fit_linear(features, labels, 4, seed=0)
    assert np.isfinite(short.out_of_fold).all()
    agree = short.out_of_fold.argmax(1) == full.out_of_fold.argmax(1)
    assert agree.mean() > 0.95
    assert (short.out_of_fold.argmax(1) == labels).mean() > 0.9

from __future__ import annotations

import numpy as np
import pytest

from selection import BadParameter
from selection.kernels.graph import knn_graph
from selection.proxy.calibration import NO_FOLD, stratified_folds
from selection.proxy.heads.smooth import smoothed
from selection.proxy.heads.spread import STEPS, _flow, fit_spread
from selection.proxy.learn import learn
from tests.selection.proxy.blobs import blobs, pool_labels

KINDS = ["linear", "mlp", "spread", "smooth", "auto"]


@pytest.fixture(scope="module")
def pool():
    features, truth = blobs(n=600, d=30, gap=0.75, seed=1)
    return features, truth, knn_graph(features)


def some(truth, count, seed=0):
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.choice(np.flatnonzero(truth == c), count, replace=False) for c in range(4)])


@pytest.mark.parametrize("kind", KINDS)
def test_every_head_learns_and_judges_itself_about_right(pool, kind):
    features, truth, graph = pool
    rows = some(truth, 20)
    learned = learn(features, pool_labels(truth, rows), 4, kind=kind, graph=graph)
    unseen = np.setdiff1d(np.arange(600), rows)
    right = (learned.probs.argmax(1) == truth)[unseen].mean()
    assert right > 0.7
    assert learned.report.low - 0.05 <= right <= learned.report.high + 0.05
    assert learned.probs.dtype == np.float32
    np.testing.assert_allclose(learned.probs.sum(1), 1, rtol=1e-4)
    assert sum(learned.report.weights.values()) == pytest.approx(1)
    assert learned.report.ece < 0.3


@pytest.mark.parametrize("kind", KINDS)
def test_absent_single_and_lone_classes_work(pool, kind):
    features, truth, graph = pool
    two = np.flatnonzero(truth < 2)[:30]
    probs = learn(features, pool_labels(truth, two), 6, kind=kind, graph=graph).probs
    assert (probs[:, 2:] == 0).all()
    one = learn(features, pool_labels(truth, np.flatnonzero(truth == 3)[:5]), 4, kind=kind, graph=graph)
    assert (one.probs == [0, 0, 0, 1]).all()
    lone = learn(features, pool_labels(truth, some(truth, 1)), 4, kind=kind, graph=graph)
    assert lone.report.accuracy is None
    assert np.isfinite(lone.probs).all()
    nothing = learn(features, pool_labels(truth, []), 4, kind=kind, graph=graph)
    assert (nothing.probs == 0.25).all()


@pytest.mark.parametrize("kind", KINDS)
def test_labels_of_other_rows_change_nothing_and_the_same_seed_gives_the_same(pool, kind):
    features, truth, graph = pool
    labels = pool_labels(truth, some(truth, 5))
    skipped = labels.copy()
    skipped[np.flatnonzero(labels == -1)[:50]] = -2
    one = learn(features, labels, 4, kind=kind, graph=graph, seed=1)
    two = learn(features, skipped, 4, kind=kind, graph=graph, seed=1)
    assert (one.probs == two.probs).all()


@pytest.mark.parametrize("kind", ["spread", "smooth", "auto"])
def test_copies_of_a_labeled_row_do_not_vote_twice(pool, kind):
    features, truth, _ = pool
    rows = some(truth, 5)
    copies = np.concatenate([features, np.repeat(features[rows[:1]], 3, axis=0)])
    graph = knn_graph(copies)
    once = pool_labels(np.append(truth, [truth[rows[0]]] * 3), rows)
    often = once.copy()
    often[600:] = truth[rows[0]]
    a = learn(copies, once, 4, kind=kind, graph=graph)
    b = learn(copies, often, 4, kind=kind, graph=graph)
    assert (a.probs == b.probs).all()
    assert b.report.n_labels == a.report.n_labels + 3
    assert b.report.n_judged == a.report.n_judged


def test_auto_is_better_than_linear_at_five_labels_a_class(pool):
    features, truth, graph = pool
    gains = []
    for seed in range(5):
        labels = pool_labels(truth, some(truth, 5, seed))
        right = [
            (learn(features, labels, 4, kind=kind, graph=graph).probs.argmax(1) == truth).mean()
            for kind in ("linear", "auto")
        ]
        gains.append(right[1] - right[0])
    assert np.mean(gains) > 0.02


def test_labels_held_out_send_no_mass_to_their_own_judgement(pool):
    _, truth, graph = pool
    rows = some(truth, 6)
    folds = stratified_folds(truth[rows], 5, np.random.default_rng(0))
    want = fit_spread(graph, rows, truth[rows], folds, 4).out_of_fold
    wrong = truth[rows].copy()
    target = int(np.flatnonzero(folds == 2)[0])
    wrong[target] = (wrong[target] + 1) % 4
    got = fit_spread(graph, rows, wrong, folds, 4).out_of_fold
    # only the common temperature may differ
    ratio = got[target] - got[target].max(), want[target] - want[target].max()
    assert np.corrcoef(*ratio)[0, 1] == pytest.approx(1, abs=1e-6)


def test_the_flow_equals_the_written_out_sum(pool):
    _, truth, graph = pool
    rows, groups = some(truth, 2), np.zeros(8, np.int64)
    flows = _flow(graph, rows, truth[rows], groups, 1, 4)
    matrix = graph.matrix.toarray().astype(np.float64)
    step, want = np.zeros((600, 4)), np.zeros((600, 4))
    step[rows, truth[rows]] = 1
    for t in range(STEPS + 1):
        want += 0.05 * 0.95**t * step
        step = matrix @ step
    np.testing.assert_allclose(flows[0][:, 0], want, atol=1e-6)


def test_rows_that_no_label_reaches_keep_the_prior_and_are_counted():
    features, _ = blobs(n=60, d=8, c=1)
    island = np.zeros((20, 8), np.float32) - 40 + np.random.default_rng(0).normal(size=(20, 8))
    both = np.concatenate([features, island]).astype(np.float32)
    graph = knn_graph(both, k=5)
    labels = np.full(80, -1, np.int64)
    labels[:6] = [0, 0, 0, 0, 1, 1]
    learned = learn(both, labels, 3, kind="spread", graph=graph)
    assert learned.report.unreached == 20
    np.testing.assert_allclose(learned.probs[60:], [[5 / 8, 3 / 8, 0]] * 20, rtol=1e-6)
    assert np.isfinite(learn(both, labels, 3, kind="auto", graph=graph).probs).all()


def test_smoothing_is_the_written_out_mean_and_is_kept(pool):
    _, _, graph = pool
    matrix = graph.matrix.toarray()
    rows = graph.unit.astype(np.float64)
    for _ in range(2):
        rows = (rows + (matrix / matrix.sum(1, keepdims=True)) @ rows) / 2
    np.testing.assert_allclose(smoothed(graph), rows / np.linalg.norm(rows, axis=1, keepdims=True), atol=1e-5)
    assert smoothed(graph) is smoothed(graph)


def test_a_graph_is_demanded_where_needed_and_must_fit(pool):
    features, truth, graph = pool
    labels = pool_labels(truth, some(truth, 3))
    with pytest.raises(BadParameter, match="knn_graph"):
        learn(features, labels, 4, kind="spread")
    with pytest.raises(BadParameter, match="600 rows"):
        learn(features[:-1], labels[:-1], 4, kind="auto", graph=graph)
    assert learn(features, labels, 4, kind="auto").report.weights == {"linear": 1.0}


def test_many_classes_merge_folds_and_still_judge_every_label():
    features, truth = blobs(n=500, d=20, c=50, gap=3.0)
    rows = np.arange(200)
    learned = learn(features, pool_labels(truth, rows), 50, kind="spread", graph=knn_graph(features))
    folds = stratified_folds(truth[rows], 5, np.random.default_rng(0))
    assert learned.report.n_judged == (folds != NO_FOLD).sum()
    assert learned.report.accuracy > 0.6


@pytest.mark.parametrize("m", [2, 128, 129])
def test_the_mlp_takes_every_size_of_training_set(pool, m, monkeypatch):
    monkeypatch.setattr("selection.proxy.heads.mlp.EPOCHS", 2)
    features, truth, _ = pool
    rows = np.concatenate([[np.flatnonzero(truth == 0)[0]], np.flatnonzero(truth == 1)[: m - 1]])
    assert np.isfinite(learn(features, pool_labels(truth, rows), 4, kind="mlp").probs).all()


def test_the_mlp_separates_one_hot_features_perfectly():
    truth = np.arange(64) % 8
    features = (np.eye(8)[truth] + 1e-3 * np.random.default_rng(0).normal(size=(64, 8))).astype(np.float32)
    assert learn(features, truth, 8, kind="mlp").report.accuracy == 1.0

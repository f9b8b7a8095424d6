"""Heads for sets: the fast forms equal the definitions, and what is learnt is calibrated and judged fairly."""

import numpy as np
import pytest

from selection import LABELED, SKIPPED, UNLABELED, BadParameter
from selection.kernels.graph import knn_graph
from selection.proxy.heads.linear import moments
from selection.proxy.heads.sets import register
from selection.proxy.heads.sets.linear import fit_linear_sets, presences, set_folds, set_logits
from selection.proxy.heads.sets.spread import REACH, STEPS, fit_spread_sets
from selection.proxy.learn_sets import learn_sets

KINDS = ["linear", "smooth", "spread", "auto"]


def world(n=500, d=16, seed=0):
    """Features, sets of four classes from frequent to rare and never all, and the presences that drew them."""
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 6, n)
    means = rng.normal(size=(6, d)) * 1.5
    features = (means[groups] + rng.normal(size=(n, d))).astype(np.float32)
    table = np.array([[0.9, 0.1, 0.0, 0.0], [0.9, 0.8, 0.1, 0.0], [0.1, 0.9, 0.0, 0.0], [0.6, 0.1, 0.8, 0.0],
                      [0.5, 0.1, 0.1, 0.3], [0.1, 0.1, 0.1, 0.0]])  # fmt: skip
    return features, rng.random((n, 4)) < table[groups], table[groups]


@pytest.fixture(scope="module")
def pool():
    features, truth, chances = world()
    return features, truth, chances, knn_graph(features)


def given(truth, rows):
    marks = np.full(len(truth), UNLABELED)
    marks[rows] = LABELED
    return truth & (marks == LABELED)[:, None], marks


@pytest.mark.parametrize(("m", "d"), [(90, 16), (60, 80), (320, 40)])
def test_the_shared_products_give_what_one_regression_a_class_gives(m, d):
    from sklearn.linear_model import LogisticRegression

    features, truth, _ = world(m, d)
    mean, scale = moments(features)
    fit = fit_linear_sets(features, truth, seed=0, mean=mean, scale=scale, l2=0.3)
    rows = (features - mean) / scale
    for k in range(4):
        plain = LogisticRegression(C=1 / (0.3 * m), tol=1e-9, max_iter=2000).fit(rows, truth[:, k])
        np.testing.assert_allclose(set_logits(fit.head, features)[:, k], plain.decision_function(rows), atol=0.02)
        for fold in range(5):
            inside = fit.folds != fold
            wanted = LogisticRegression(C=1 / (0.3 * inside.sum()), tol=1e-9, max_iter=2000)
            wanted.fit(rows[inside], truth[inside, k])
            held_out = wanted.decision_function(rows[~inside])
            np.testing.assert_allclose(fit.out_of_fold[~inside, k], held_out, atol=0.15)


def test_columns_together_end_where_each_alone_ends():
    import torch

    from selection.proxy.heads.sets.solver import Columns, solve

    features, truth, _ = world(120, 10)
    x = torch.from_numpy(features).double()
    spectrum, basis = torch.linalg.eigh(x.T @ x / 120)
    y = torch.from_numpy(truth).double()
    shares = torch.full_like(y, 1 / 120)
    columns = Columns(x @ basis, spectrum, y, shares)
    together = solve(columns, 0.1, y.new_zeros(11, 4), tolerance=1e-12)
    for k in range(4):
        alone = solve(columns.some(torch.tensor([k])), 0.1, y.new_zeros(11, 1), tolerance=1e-12)
        torch.testing.assert_close(together[:, k : k + 1], alone, atol=1e-5, rtol=1e-5)
    p = (columns.inputs @ together[:-1] + together[-1]).sigmoid()
    gradient = columns.inputs.T @ ((p - y) * shares) + 0.1 * together[:-1]
    assert float(gradient.abs().max()) < 1e-5


def test_presence_and_absence_flow_as_one_column_a_class_with_the_result_of_two(pool):
    _, truth, _, graph = pool
    rows = np.arange(0, 500, 10)
    present, folds = truth[rows], np.arange(50) % 5
    logits, held_out = fit_spread_sets(graph, rows, present, folds)

    def plain(rows, present):
        flow, mass = np.zeros((500, 8)), np.zeros((500, 8))
        mass[rows] = np.concatenate([present, ~present], axis=1)
        for step in range(STEPS + 1):
            flow += (1 - REACH) * REACH**step * mass
            mass = graph.matrix @ mass
        yes, no = flow[:, :4], flow[:, 4:]
        usual = (present.sum(0) + 0.5) / (len(rows) + 1)
        shares = np.where(yes + no > 0, yes / np.maximum(yes + no, 1e-30), usual)
        design = np.concatenate([graph.unit, np.ones((500, 1))], axis=1).astype(np.float64)
        gram = design.T @ design
        fitted = design @ np.linalg.solve(gram + 1e-2 * 500 / len(gram) * np.eye(len(gram)), design.T @ shares)
        fitted[(yes + no <= 0).all(1)] = usual
        fitted = np.clip(fitted, 1e-3, 1 - 1e-3)
        return np.log(fitted / (1 - fitted))

    np.testing.assert_allclose(logits, plain(rows, present), atol=0.02)
    for fold in range(5):
        wanted = plain(rows[folds != fold], present[folds != fold])[rows[folds == fold]]
        known = ~np.isnan(held_out[folds == fold])
        np.testing.assert_allclose(held_out[folds == fold][known], wanted[known], atol=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_every_head_learns_calibrated_presences_and_judges_itself_about_right(pool, kind):
    from sklearn.metrics import average_precision_score

    features, truth, chances, graph = pool
    rows = np.random.default_rng(1).permutation(500)[:150]
    present, marks = given(truth, rows)
    learned = learn_sets(features, present, marks, kind=kind, graph=graph)
    rest = np.setdiff1d(np.arange(500), rows)
    report = learned.report
    found = average_precision_score(truth[rest], learned.probs[rest])
    best = average_precision_score(truth[rest], chances[rest])
    assert found > best - 0.15
    assert report.metrics.mean_average_precision.low - 0.1 <= found <= report.metrics.mean_average_precision.high + 0.1
    assert np.abs(learned.probs[rest].mean(0) - truth[rest].mean(0)).max() < 0.08
    assert report.ece < 0.08 and report.n_labels == 150 and report.metrics.judged == 4
    assert sum(report.weights.values()) == pytest.approx(1)
    assert learned.probs.dtype == np.float32 and ((learned.probs > 0) & (learned.probs < 1)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_classes_that_no_label_or_every_label_shows_get_their_share(pool, kind):
    features, truth, _, graph = pool
    rows = np.arange(20)
    shown = truth.copy()
    shown[:, 2], shown[:, 3] = False, True
    present, marks = given(shown, rows)
    learned = learn_sets(features, present, marks, kind=kind, graph=graph)
    np.testing.assert_allclose(learned.probs[:, 2], 0.5 / 21, rtol=1e-5)
    np.testing.assert_allclose(learned.probs[:, 3], 20.5 / 21, rtol=1e-5)
    np.testing.assert_allclose(presences(learned.head, features)[:, 2:], learned.probs[:, 2:], rtol=1e-4)
    assert np.isnan(learned.report.metrics.average_precision[2:]).all() and learned.report.metrics.judged <= 2
    nothing = learn_sets(features, np.zeros_like(truth), np.full(500, UNLABELED), kind=kind, graph=graph)
    assert (nothing.probs == 0.5).all() and nothing.report.metrics.mean_average_precision.value is None
    empty = learn_sets(features, np.zeros_like(truth), given(truth, rows)[1], kind=kind, graph=graph)
    np.testing.assert_allclose(empty.probs, 0.5 / 21, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_said_of_other_rows_and_copies_change_nothing(pool, kind):
    features, truth, _, graph = pool
    rows = np.arange(0, 120)
    present, marks = given(truth, rows)
    first = learn_sets(features, present, marks, kind=kind, graph=graph)
    marks[300:] = SKIPPED
    again = learn_sets(features, present, marks, kind=kind, graph=graph)
    np.testing.assert_array_equal(first.probs, again.probs)


def test_a_class_with_one_positive_is_learnt_but_not_judged(pool):
    features, truth, _, _ = pool
    present, marks = given(truth, np.arange(40))
    present[:, 3] = False
    present[7, 3] = True
    learned = learn_sets(features, present, marks)
    assert np.isnan(learned.report.metrics.average_precision[3])
    assert learned.probs[7, 3] > np.median(learned.probs[:, 3])


def test_folds_spread_the_rarest_class_and_leave_a_lone_one_in():
    _, truth, _ = world(100)
    truth[:, 3] = False
    truth[:5, 3], truth[:, 2] = True, False
    truth[50, 2] = True
    folds = set_folds(truth, np.random.default_rng(0))
    assert sorted(folds[:5]) == [0, 1, 2, 3, 4]
    assert folds[50] == -1
    assert np.ptp(np.bincount(folds[folds >= 0])) <= 2


def test_wrong_input_is_refused_with_words(pool):
    features, truth, _, graph = pool
    present, marks = given(truth, np.arange(9))
    with pytest.raises(BadParameter, match="no head for sets of kind 'forest'; known: linear, smooth, spread, auto"):
        learn_sets(features, present, marks, kind="forest")
    with pytest.raises(BadParameter, match="spread needs the pool's graph"):
        learn_sets(features, present, marks, kind="spread")
    with pytest.raises(BadParameter, match="the graph has 500 rows and the pool 400"):
        learn_sets(features[:400], present[:400], marks[:400], kind="auto", graph=graph)
    with pytest.raises(BadParameter, match=r"present must be \(500, c\)"):
        learn_sets(features, present[:9], marks)
    assert register.names() == ["linear", "smooth", "spread"]

"""Least confidence, margin and entropy: definitions, edge cases of probabilities, notes."""

import numpy as np
import pytest

from selection import BadParameter, BadVector, MissingProbabilities, create
from tests.selection.pools import pool

METHODS = ["least_confidence", "margin", "entropy"]


def order(method, probs, *seen, budget=None, **params):
    rows = np.random.default_rng(0).normal(size=(len(probs), 4))
    n = len(probs) if budget is None else budget
    return create(method, **params).select(pool(rows, *seen, probs=probs), n, np.random.default_rng(0))


def softmax(logits):
    z = np.asarray(logits, np.float32)
    z = np.exp(z - z.max(1, keepdims=True))
    return z / z.sum(1, keepdims=True)


@pytest.mark.parametrize(
    ("method", "wanted"),
    [
        ("least_confidence", lambda p: p.max()),
        ("margin", lambda p: sorted(p)[-1] - sorted(p)[-2]),
        ("entropy", lambda p: sum(v * np.log(v) for v in p)),
    ],
)
def test_order_is_that_of_the_definition(method, wanted):
    probs = np.random.default_rng(1).dirichlet(np.ones(5), 200)
    terms = [round(float(wanted(p)) / 1e-6) for p in probs]
    assert order(method, probs).rows.tolist() == sorted(range(200), key=lambda row: (terms[row], row))


@pytest.mark.parametrize("method", METHODS)
def test_a_sure_guess_whose_other_probabilities_underflow_is_last(method):
    probs = softmax([[200, 0, 0], [1, 0, 0], [0, 0, 0], [5, 0, 0]])
    assert probs[0].tolist() == [1.0, 0.0, 0.0]
    assert order(method, probs).rows.tolist() == [2, 1, 3, 0]


def test_two_classes_give_one_order():
    probs = np.random.default_rng(2).dirichlet(np.ones(2), 100)
    first, *others = [order(m, probs).rows.tolist() for m in METHODS]
    assert others == [first, first]


@pytest.mark.parametrize("method", METHODS)
def test_the_order_of_classes_does_not_matter(method):
    probs = np.random.default_rng(3).dirichlet(np.ones(4), 60)
    assert order(method, probs).rows.tolist() == order(method, probs[:, [2, 0, 3, 1]]).rows.tolist()


@pytest.mark.parametrize("method", METHODS)
def test_differences_below_a_millionth_do_not_reorder(method):
    probs = np.tile([0.5, 0.3, 0.2], (6, 1))
    probs[5] = [0.9, 0.05, 0.05]
    probs[3] += [-2e-9, 1e-9, 1e-9]
    assert order(method, probs).rows.tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("probs", [np.ones((30, 1)), np.full((30, 3), 1 / 3), np.tile([1.0, 0.0], (30, 1))])
def test_scores_that_tell_nothing_apart_give_the_fallback_not_the_order_of_rows(method, probs):
    ranking = order(method, probs, 0, budget=10, fallback="coreset")
    geometric = create("coreset").select(
        pool(np.random.default_rng(0).normal(size=(30, 4)), 0), 10, np.random.default_rng(0)
    )
    assert ranking.rows.tolist() == geometric.rows.tolist()
    assert "equally sure" in ranking.notes[0] and "farthest" in ranking.notes[0]


def test_a_fallback_that_needs_probabilities_is_refused():
    with pytest.raises(BadParameter, match="without class probabilities"):
        order("margin", np.full((5, 2), 0.5), fallback="margin")


@pytest.mark.parametrize("method", METHODS)
def test_missing_and_broken_probabilities_are_named(method):
    with pytest.raises(MissingProbabilities, match="probs"):
        create(method).select(pool(np.zeros((3, 2))), 1, np.random.default_rng(0))
    probs = np.full((6, 2), 0.5)
    probs[4] = 0.7
    with pytest.raises(BadVector, match="row 4 of probs does not sum to 1"):
        order(method, probs)
    probs[2, 0] = np.nan
    with pytest.raises(BadVector, match="row 2 of probs is not finite"):
        order(method, probs)


def test_notes_name_the_classes():
    probs = np.array([[0.1, 0.39, 0.1, 0.41], [0.97, 0.01, 0.01, 0.01]])
    assert order("margin", probs).notes[0] == "torn between class 3 (0.41) and class 1 (0.39)"
    assert order("least_confidence", probs).notes[0] == "the best guess, class 3, has only 0.41"
    assert order("entropy", probs).notes[0].startswith("the guess is spread over class 3 (0.41), class 1 (0.39)")


def test_margin_beats_random_on_two_classes_that_touch():
    rng = np.random.default_rng(4)
    x = np.sort(rng.uniform(-1, 1, 400))
    probs = np.stack([1 / (1 + np.exp(8 * x)), 1 / (1 + np.exp(-8 * x))], 1)
    near = np.abs(x[order("margin", probs, budget=10).rows]).max()
    assert near < np.abs(x[rng.choice(400, 10, replace=False)]).max() / 5

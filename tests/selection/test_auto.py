"""Auto: when it is cold, when it is warm."""

import numpy as np
import pytest

from selection import BadParameter, Pool, create, has, rank


def a_pool(counts, probs=True):
    rng = np.random.default_rng(0)
    labels = np.full(120, -1)
    seen = np.repeat(np.arange(len(counts)), counts)
    labels[: len(seen)] = seen
    return Pool(rng.normal(size=(120, 6)), labels, rng.dirichlet(np.ones(3), 120) if probs else None)


def used(pool, **params):
    return create("auto", **params).select(pool, 9, np.random.default_rng(0)).notes[0].split()[0]


@pytest.mark.parametrize(
    ("counts", "word"),
    [([], "reaches"), ([20, 19], "reaches"), ([20, 20], "torn"), ([20, 0, 20], "torn"), ([29], "torn")],
)
def test_it_is_warm_when_every_seen_class_has_twenty_labels(counts, word):
    assert used(a_pool(counts)) == word


def test_without_probabilities_it_stays_cold():
    assert used(a_pool([29, 29], probs=False)) == "reaches"


def test_methods_and_threshold_are_parameters():
    pool = a_pool([2, 2])
    assert used(pool, labels_per_class=2, warm="least_confidence") == "the"
    assert used(pool, cold="coreset") == "farthest"


def test_warm_it_ranks_all_by_uncertainty_and_cold_a_head():
    warm = rank(create("auto"), a_pool([20, 20]), 80, seed=0, horizon=10)
    assert warm.notes[79].startswith("torn")
    cold = rank(create("auto"), a_pool([1, 1]), 118, seed=0, horizon=10)
    assert cold.notes[9].startswith("reaches") and cold.notes[10].startswith("beyond")


def test_it_cannot_contain_itself():
    with pytest.raises(BadParameter, match="other selectors"):
        create("auto", cold="auto")


def test_it_gives_the_head_of_a_larger_budget_where_both_of_its_selectors_do():
    assert has(create("auto"), "prefix")
    assert not has(create("auto", cold="typiclust"), "prefix")
    assert not has(create("diverse"), "prefix")

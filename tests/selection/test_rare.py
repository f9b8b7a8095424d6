"""Wanted rare classes: who gets the places, when the search ends, what is expected, and the recall test."""

import numpy as np
import pytest

from selection import BadParameter, MissingProbabilities, Pool, create, rank
from selection.check_pools import features
from selection.rare import recall_doubt, weave_rare


def a_pool(form, n=40, seed=0):
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet([8.0, 2.0, 0.5], n) if form == "one" else rng.random((n, 3)) * [1, 0.5, 0.1]
    marks = np.full(n, -1)
    marks[:4] = 0
    if form == "one":
        labels = marks.copy()
        labels[3] = 2
        return Pool(features(n), labels, probs)
    present = np.zeros((n, 3), bool)
    present[:4, 0] = True
    present[3, 2] = True
    return Pool(features(n), probs=probs, present=present, marks=marks)


@pytest.mark.parametrize("form", ["one", "set"])
def test_every_second_place_goes_to_the_likeliest_candidates_and_the_rest_keep_their_order(form):
    pool = a_pool(form)
    ranking = rank(create("random"), pool, 12, 0)
    woven, (wish,) = weave_rare(ranking, pool, {2: 30}, share=0.5)
    free = pool.candidates
    likely = free[np.argsort(-pool.probs[free, 2], kind="stable")]
    assert woven.rows[1::2].tolist() == likely[np.isin(likely, woven.rows[1::2])].tolist()
    assert len(set(woven.rows)) == len(ranking) == 12
    assert woven.rows[::2].tolist() == [row for row in ranking.rows if row not in woven.rows[1::2]][:6]
    assert woven.notes[1].startswith("class 2 is sought and may be there (0.") and woven.notes[0] == "drawn at random"
    assert (wish.found, wish.placed) == (1, 6)
    assert wish.expected == pytest.approx(pool.probs[woven.rows[1::2], 2].sum())
    assert wish.left == pytest.approx(pool.probs[free, 2].sum()) and wish.recall == pytest.approx(1 / (1 + wish.left))


@pytest.mark.parametrize("form", ["one", "set"])
def test_the_search_ends_when_labels_or_expected_discoveries_fulfil_the_wish(form):
    pool = a_pool(form)
    ranking = rank(create("random"), pool, 20, 0)
    fulfilled, (wish,) = weave_rare(ranking, pool, {2: 1})
    assert wish.placed == 0 and fulfilled.rows.tolist() == ranking.rows.tolist()
    _, (wish,) = weave_rare(ranking, pool, {0: 6}, share=1.0)
    still = 6 - int(pool.positives[0])
    assert wish.expected >= still and wish.expected - 1 <= still


def test_wanted_classes_take_turns_and_no_row_comes_twice():
    pool = a_pool("set")
    ranking = rank(create("random"), pool, 36, 0)
    woven, wishes = weave_rare(ranking, pool, {1: 90, 2: 90}, share=1.0)
    assert len(set(woven.rows)) == 36 and [wish.placed for wish in wishes] == [18, 18]


def test_wrong_wishes_are_refused_with_words():
    pool = a_pool("one")
    ranking = rank(create("random"), pool, 5, 0)
    assert weave_rare(ranking, pool, {}) == (ranking, ())
    with pytest.raises(MissingProbabilities, match="rare classes are sought"):
        weave_rare(ranking, Pool(pool.features, pool.labels), {2: 5})
    for rare, share in (({3: 5}, 0.5), ({2: 0}, 0.5), ({2: 5}, 1.5)):
        with pytest.raises(BadParameter):
            weave_rare(ranking, pool, rare, share=share)


def test_the_recall_test_errs_no_more_often_than_it_says():
    rng = np.random.default_rng(0)
    found, unseen, drawn, target = 30, 1000, 300, 0.9
    wrong = 0
    for _ in range(2000):
        left = 5 + int(rng.integers(0, 3))  # recall before the sample is 30 / 35 or less
        hits = int(rng.hypergeometric(left, unseen - left, drawn))
        if (found + hits) / (found + left) < target:
            wrong += recall_doubt(found, hits, drawn, unseen, target) < 0.05
    assert wrong <= 0.05 * 2000
    assert recall_doubt(30, 0, 1000, 1000, 0.9) == 0.0 and recall_doubt(30, 0, 0, 1000, 0.9) == 1.0
    with pytest.raises(BadParameter, match="hits <= drawn"):
        recall_doubt(30, 5, 3, 1000, 0.9)

"""rank(): dirty pools, the horizon, the tail."""

import numpy as np
import pytest

from selection import SKIPPED, BadParameter, BadVector, Pool, create, names, rank
from selection.rank import BROKEN, COPY, GUESS, SEEN, TAIL, ZERO


def dirty():
    """120 rows: 10 labeled, one skipped; NaN, infinity, zero, copies of a candidate and of a labeled row."""
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(120, 8)).astype(np.float32)
    labels = np.full(120, -1)
    labels[:10] = np.arange(10) % 2
    labels[11] = SKIPPED
    rows[30], rows[31, 2], rows[32] = np.nan, np.inf, 0.0
    rows[40] = rows[41] = rows[20]
    rows[50], rows[51] = rows[3], rows[11]
    return Pool(rows, labels, rng.dirichlet(np.ones(3), 120))


ASIDE = {40: COPY, 41: COPY, 50: SEEN, 51: SEEN, 30: BROKEN, 31: BROKEN, 32: ZERO}


@pytest.mark.parametrize("name", names())
def test_every_selector_ranks_a_dirty_pool_with_the_bad_rows_last(name):
    pool = dirty()
    ranking = rank(create(name), pool, 500, seed=3, horizon=40)
    assert sorted(ranking.rows) == pool.candidates.tolist()
    assert {int(row): note for row, note in zip(ranking.rows[-7:], ranking.notes[-7:], strict=True)} == ASIDE
    assert ranking.rows[-7:].tolist() == [40, 41, 50, 51, 30, 31, 32]
    for budget in (0, 1, 39, 40, 41, 102, 103, 108, 109):
        shorter = rank(create(name), pool, budget, seed=3, horizon=40)
        assert len(shorter) == min(budget, 109)
        assert np.isin(shorter.rows, pool.candidates).all()
        assert len(set(shorter.rows.tolist())) == len(shorter)


@pytest.mark.parametrize("name", names())
def test_ranking_is_repeatable_and_leaves_the_pool_as_it_was(name):
    pool = dirty()
    before = pool.features.copy(), pool.labels.copy()
    first, second = (rank(create(name), pool, 60, seed=5, horizon=30) for _ in range(2))
    assert first.rows.tolist() == second.rows.tolist()
    assert list(first.notes) == list(second.notes)
    assert np.array_equal(before[0], pool.features, equal_nan=True) and np.array_equal(before[1], pool.labels)


def test_the_head_is_the_selectors_answer_on_the_clean_rows():
    pool = dirty()
    clean = np.setdiff1d(np.arange(120), list(ASIDE))
    inner = create("coreset").select(Pool(pool.features[clean], pool.labels[clean]), 40, np.random.default_rng(3))
    ranking = rank(create("coreset"), pool, 500, seed=3, horizon=40)
    assert ranking.rows[:40].tolist() == clean[inner.rows].tolist()
    assert ranking.notes[7] == inner.notes[7]


def test_the_tail_goes_on_by_distance_from_what_is_labeled_or_ranked():
    rows = np.random.default_rng(4).normal(size=(80, 3))
    labels = np.where(np.arange(80) < 3, 0, -1)
    ranking = rank(create("typiclust"), Pool(rows, labels), 77, seed=0, horizon=20)
    served = rows[np.concatenate([np.arange(3), ranking.rows[:20]])]
    near = np.linalg.norm(rows[ranking.rows[20:], None] - served[None], axis=2).min(1)
    assert (np.diff(near) <= 1e-6).all()
    assert np.allclose(ranking.scores[20:], near, atol=1e-5)
    assert set(ranking.notes[20:]) == {TAIL}


def test_a_sort_needs_no_horizon():
    pool = dirty()
    ranking = rank(create("margin"), pool, 500, seed=0, horizon=5)
    assert all(note.startswith("torn") for note in ranking.notes[:102])
    assert (np.diff(ranking.scores[:102]) <= 1e-6).all()


def test_rows_whose_probabilities_are_none_come_last():
    pool = dirty()
    probs = pool.probs.copy()
    probs[60], probs[61] = np.nan, 0.9
    ranking = rank(create("margin"), Pool(pool.features, pool.labels, probs), 500, seed=0)
    told = dict(zip(ranking.rows.tolist(), ranking.notes, strict=True))
    assert told[60] == told[61] == GUESS
    assert {60, 61} <= set(ranking.rows[-5:].tolist())


@pytest.mark.parametrize("name", ["coreset", "typiclust", "random", "auto"])
def test_pools_of_nothing_but_bad_rows_copies_or_labels_are_ranked(name):
    nothing = np.full((6, 3), np.nan)
    assert rank(create(name), Pool(nothing, np.full(6, -1)), 9, seed=0).rows.tolist() == [0, 1, 2, 3, 4, 5]
    equal = np.ones((6, 3))
    assert sorted(rank(create(name), Pool(equal, np.full(6, -1)), 9, seed=0).rows) == [0, 1, 2, 3, 4, 5]
    assert len(rank(create(name), Pool(equal, np.zeros(6, np.int64)), 9, seed=0)) == 0
    assert len(rank(create(name), Pool(np.empty((0, 3)), np.empty(0, np.int64)), 9, seed=0)) == 0


def test_both_zeros_are_one_value_for_copies():
    rows = np.array([[0.0, 1.0], [-0.0, 1.0], [2.0, 1.0]])
    ranking = rank(create("coreset"), Pool(rows, np.full(3, -1)), 3, seed=0)
    assert ranking.rows[-1] == 1 and ranking.notes[-1] == COPY


def test_a_value_beyond_float32_is_bad_and_select_names_its_row():
    rows = np.ones((4, 2))
    rows[2, 1] = 1e200
    pool = Pool(rows + np.eye(4, 2), np.full(4, -1))
    with pytest.raises(BadVector, match="row 2"):
        create("coreset").select(pool, 2, np.random.default_rng(0))
    assert rank(create("coreset"), pool, 4, seed=0).rows[-1] == 2


def test_senseless_sizes_are_refused():
    with pytest.raises(BadParameter, match="horizon at least 1"):
        rank(create("random"), dirty(), 3, seed=0, horizon=0)
    with pytest.raises(BadParameter, match="budget must be at least 0"):
        rank(create("random"), dirty(), -1, seed=0)

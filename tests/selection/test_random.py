"""Random: stable when rows are added or labeled, even over rows."""

import numpy as np

from selection import Pool, create, rank
from tests.selection.pools import pool


def order(n, *seen, seed=0):
    rows = np.random.default_rng(9).normal(size=(n, 3))
    return create("random").select(pool(rows, *seen), n, np.random.default_rng(seed)).rows.tolist()


def test_rows_added_at_the_end_do_not_reorder_the_others():
    assert [row for row in order(700) if row < 500] == order(500)


def test_labels_only_take_rows_out():
    assert order(200, 3, 50, 51) == [row for row in order(200) if row not in (3, 50, 51)]


def test_seeds_give_different_orders_that_favour_no_row():
    places = np.array([np.argsort(order(50, seed=seed)) for seed in range(400)])
    assert abs(places.mean(0) - 24.5).max() < 3.5  # 4.8 standard errors of a uniform place
    assert abs(np.corrcoef(places[0], places[1])[0, 1]) < 0.5


def test_rows_set_aside_by_rank_do_not_reorder_the_others():
    rows = np.random.default_rng(9).normal(size=(300, 3))
    before = rank(create("random"), pool(rows), 300, seed=1).rows.tolist()
    rows[40], rows[41] = np.nan, rows[200]
    after = rank(create("random"), Pool(rows, np.full(300, -1)), 300, seed=1).rows.tolist()
    aside = (40, 200)
    assert after[-2:] == [200, 40]
    assert after[:-2] == [row for row in before if row not in aside]

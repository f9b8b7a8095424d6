"""thin(): a smaller pool; rank(prefilter=...): a dear selector on a large one."""

from __future__ import annotations

import numpy as np
import pytest

from selection import SKIPPED, BadParameter, Pool, create, rank, thin


def _pool(n: int = 600) -> Pool:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(n, 6)).astype(np.float32)
    features[:5] += 40  # a group of five, far away
    labels = np.full(n, -1, np.int64)
    labels[100:120], labels[120] = 1, SKIPPED
    return Pool(features, labels, rng.dirichlet(np.ones(3), n))


@pytest.mark.parametrize("groups", [0, 8])
def test_all_labeled_rows_stay_and_as_many_candidates_as_asked(groups: int) -> None:
    pool = _pool()
    few, kept = thin(pool, 50, np.random.default_rng(1), groups=groups)
    assert len(few.candidates) == 50
    assert set(range(100, 121)) <= set(kept.tolist())
    np.testing.assert_array_equal(few.features, pool.features[kept])
    assert few.probs is not None and pool.probs is not None
    np.testing.assert_array_equal(few.probs, pool.probs[kept])
    np.testing.assert_array_equal(few.labels, pool.labels[kept])


def test_groups_keep_a_small_far_group_in_sight() -> None:
    for seed in range(10):
        _, kept = thin(_pool(), 20, np.random.default_rng(seed), groups=8)
        assert kept[0] < 5


def test_a_small_pool_comes_back_as_it_is() -> None:
    pool = _pool()
    few, kept = thin(pool, 579, np.random.default_rng(0))
    assert few is pool and len(kept) == len(pool)


@pytest.mark.parametrize(("rows", "groups"), [(0, 0), (5, 6), (5, -1)])
def test_sizes_that_make_no_sense_are_refused(rows: int, groups: int) -> None:
    with pytest.raises(BadParameter, match="rows"):
        thin(_pool(), rows, np.random.default_rng(0), groups=groups)


@pytest.mark.parametrize("name", ["typiclust", "graphcover", "margin", "random"])
def test_a_prefiltered_ranking_still_holds_every_candidate_once(name: str) -> None:
    pool = _pool()
    ranking = rank(create(name), pool, 600, seed=2, horizon=40, prefilter=60)
    assert sorted(ranking.rows.tolist()) == pool.candidates.tolist()
    _, kept = thin(pool, 60, np.random.default_rng(2))
    if name in ("typiclust", "graphcover"):
        assert set(ranking.rows[:40].tolist()) <= set(kept.tolist())
        assert ranking.notes[0] and ranking.notes[0] != ranking.notes[599 - 21]


def test_margin_and_random_need_no_prefilter_and_ignore_it() -> None:
    for name in ("margin", "random"):
        plain, thinned = (rank(create(name), _pool(), 50, seed=2, prefilter=p) for p in (None, 30))
        np.testing.assert_array_equal(plain.rows, thinned.rows)


def test_a_prefilter_under_one_is_refused() -> None:
    with pytest.raises(BadParameter, match="prefilter"):
        rank(create("typiclust"), _pool(), 5, seed=0, prefilter=0)

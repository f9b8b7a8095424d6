"""Coreset: the definition, the golden picks, the bound."""

from itertools import combinations

import numpy as np
import pytest

from selection import SKIPPED, Pool, create
from selection.kernels.distances import nearest
from tests.selection.pools import naive_farthest_first, pool, wave

GOLDEN = [
    317,
    318,
    391,
    319,
    271,
    394,
    362,
    378,
    361,
    6,
    381,
    376,
    352,
    339,
    353,
    336,
    326,
    201,
    332,
    324,
    2,
    321,
    349,
    333,
]


def picks(rows, budget, *seen):
    return create("coreset").select(pool(rows, *seen), budget, np.random.default_rng(0))


def test_picks_on_the_golden_set_are_those_of_the_published_algorithm():
    assert picks(wave(), 24, 0).rows.tolist() == GOLDEN


@pytest.mark.parametrize(
    ("budget", "radius"), [(5, 0.7866971062701537), (10, 0.5544690360426434), (25, 0.486094152514391)]
)
def test_cover_radius_on_the_golden_set(budget, radius):
    centers = [0, *GOLDEN[: budget - 1]]
    assert np.sqrt(nearest(wave(), wave()[centers])[1].max()) == pytest.approx(radius, abs=1e-6)
    assert picks(wave(), 25, 0).scores[budget - 1] == pytest.approx(radius, abs=1e-12)


def test_on_a_line_ties_go_to_the_lowest_row():
    line = np.array([[0.0], [1.0], [10.0], [11.0]])
    assert picks(line, 3, 0).rows.tolist() == [3, 1, 2]


@pytest.mark.parametrize(
    "rows",
    [
        np.random.default_rng(0).normal(size=(3000, 16)).astype(np.float16),
        np.random.default_rng(1).normal(size=(1500, 24)).astype(np.float32) + 50.0,
        np.random.default_rng(2).normal(size=(1500, 4)) * np.geomspace(1e-3, 1e3, 1500)[:, None],
        np.random.default_rng(3).integers(0, 4, (1400, 3)).astype(np.float32),
        np.eye(1200, 40, dtype=np.float32) + np.eye(1200, 40, -40, dtype=np.float32),
    ],
    ids=["float16", "far from the origin", "lengths over six decades", "a lattice full of ties", "mostly zeros"],
)
def test_picks_equal_the_definition_in_float64(rows):
    seen = list(range(0, len(rows), 400))
    assert picks(rows, 150, *seen).rows.tolist() == naive_farthest_first(rows, seen, 150, [])


def test_a_pass_may_be_shorter_than_the_budget_without_changing_the_picks(monkeypatch):
    monkeypatch.setattr("selection.kernels.greedy.SHORTLIST", 7)
    assert picks(wave(), 24, 0).rows.tolist() == GOLDEN


def test_radius_never_grows_and_is_at_most_twice_the_best():
    rows = np.random.default_rng(5).normal(size=(12, 2))
    ranking = picks(rows, 12)
    assert (np.diff(ranking.scores) <= 1e-12).all()
    between = np.linalg.norm(rows[:, None] - rows[None], axis=2)
    for k in (1, 2, 3):
        best = min(between[:, list(c)].min(1).max() for c in combinations(range(12), k))
        assert between[:, ranking.rows[:k]].min(1).max() <= 2 * best + 1e-12


def test_first_pick_of_an_unlabeled_pool_is_nearest_to_the_mean():
    rows = np.array([[0.0, 0.0], [4.0, 0.0], [2.1, 0.0], [2.0, 9.0]])
    ranking = picks(rows, 2)
    assert ranking.rows[0] == 2
    assert "average" in ranking.notes[0] and "distance" in ranking.notes[1]


def test_a_skipped_row_is_covered():
    rows = np.array([[0.0], [1.0], [10.0], [11.0]])
    labels = np.array([0, -1, -1, SKIPPED])
    ranking = create("coreset").select(Pool(rows, labels), 2, np.random.default_rng(0))
    assert ranking.rows.tolist() == [1, 2]


def test_labeling_the_head_in_order_leaves_the_rest_as_it_was():
    rows = np.random.default_rng(6).normal(size=(200, 5))
    whole = picks(rows, 30, 3).rows.tolist()
    assert picks(rows, 20, 3, *whole[:10]).rows.tolist() == whole[10:]

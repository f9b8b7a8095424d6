import json

import numpy as np
import pytest

from selection import BadParameter, Pool, create
from selection.strategies.diverse import Diverse, _near_distance


def draw(n: int = 300) -> Pool:
    rng = np.random.default_rng(n)
    return Pool(rng.normal(size=(n, 4)).astype(np.float32), np.full(n, -1, np.int64), rng.dirichlet(np.ones(3), size=n))


def by_definition(pool: Pool, covered: list[int], percentile: float, budget: int) -> list[int]:
    x = pool.features.astype(np.float64)
    apart = np.linalg.norm(x[:, None] - x[None], axis=2)
    own = apart + np.diag(np.full(len(x), np.inf))
    radius = np.percentile(own.min(1), percentile)
    top = np.sort(pool.probs, axis=1)
    ranked = [r for r in np.argsort(np.round((top[:, -1] - top[:, -2]) / 1e-6), kind="stable") if r not in covered]
    kept: list[int] = []
    held: list[int] = []
    for row in ranked:
        near = any(apart[row, other] <= radius for other in covered + kept)
        (held if near else kept).append(int(row))
    return (kept + held)[:budget]


@pytest.mark.parametrize("covered", [[], [0, 8, 200]])
@pytest.mark.parametrize("percentile", [5.0, 60.0, 100.0])
@pytest.mark.parametrize("budget", [20, 300])
def test_rows_come_by_margin_and_near_copies_step_behind(covered: list[int], percentile: float, budget: int) -> None:
    pool = draw()
    pool.labels[covered] = 0
    ranking = Diverse(percentile=percentile).select(pool, budget, np.random.default_rng(0))
    if budget == 20:
        assert ranking.rows.tolist() == by_definition(pool, covered, percentile, 20)
    else:
        assert sorted(ranking.rows.tolist()) == sorted(set(range(300)) - set(covered))


def test_the_radius_is_the_percentile_of_nearest_distances() -> None:
    x = draw().features
    apart = np.linalg.norm(x[:, None] - x[None], axis=2) + np.diag(np.full(300, np.inf))
    assert _near_distance(x, 5.0, "cpu") == pytest.approx(np.percentile(apart.min(1), 5), rel=1e-4)


def test_a_copy_of_a_picked_row_waits_until_the_others_are_through() -> None:
    pool = draw(40)
    twice = Pool(np.concatenate([pool.features, pool.features]), np.full(80, -1, np.int64), np.tile(pool.probs, (2, 1)))
    ranking = Diverse().select(twice, 80, np.random.default_rng(0))
    assert sorted((ranking.rows[:40] % 40).tolist()) == list(range(40))
    assert "close to an image" in ranking.notes[40]
    assert "close to an image" not in ranking.notes[0]


def test_it_wraps_a_geometric_selector_too() -> None:
    rows = Diverse(score="coreset").select(draw(), 10, np.random.default_rng(0)).rows
    assert (rows == create("coreset").select(draw(), 10, np.random.default_rng(0)).rows).all()


@pytest.mark.parametrize(
    "wrong", [{"score": "diverse"}, {"percentile": -1}, {"percentile": 101}, {"reach": 0}, {"device": "abacus"}]
)
def test_parameters_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(BadParameter, match=next(iter(wrong))):
        create("diverse", **json.loads(json.dumps(wrong)))

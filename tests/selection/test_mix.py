import json

import numpy as np
import pytest

from selection import BadParameter, MissingProbabilities, Pool, create
from selection.strategies.mix import Mix


def draw(n: int = 120, covered: tuple[int, ...] = ()) -> Pool:
    rng = np.random.default_rng(n)
    labels = np.full(n, -1, np.int64)
    labels[list(covered)] = 0
    return Pool(rng.normal(size=(n, 4)).astype(np.float32), labels, rng.dirichlet(np.ones(3), size=n))


@pytest.mark.parametrize("covered", [(), (3, 50)])
@pytest.mark.parametrize("strength", [0.3, 1.0, 4.0])
def test_the_order_is_that_of_the_product_of_utilities(strength: float, covered: tuple[int, ...]) -> None:
    pool = draw(covered=covered)
    heads = {name: create(name).select(pool, 60, np.random.default_rng(0)).rows for name in ("coreset", "margin")}
    product = np.ones(120)
    for name, power in (("coreset", 1.0), ("margin", strength)):
        utility = np.full(120, 1 / 120)
        utility[heads[name]] = 1 - np.arange(60) / 60
        product *= utility**power
    product[list(covered)] = -1
    ranking = Mix(parts={"margin": strength, "coreset": 1.0}).select(pool, 15, np.random.default_rng(0))
    np.testing.assert_allclose(ranking.scores, np.sort(product)[::-1][:15])
    np.testing.assert_allclose(ranking.scores, product[ranking.rows])


def test_one_part_alone_gives_its_own_ranking() -> None:
    alone = create("coreset").select(draw(), 30, np.random.default_rng(0)).rows
    np.testing.assert_array_equal(Mix(parts={"coreset": 2.0}).select(draw(), 30, np.random.default_rng(0)).rows, alone)


def test_the_order_of_naming_changes_nothing() -> None:
    one = Mix(parts={"typiclust": 1.0, "kmeans": 2.0}).select(draw(), 20, np.random.default_rng(4)).rows
    two = Mix(parts={"kmeans": 2.0, "typiclust": 1.0}).select(draw(), 20, np.random.default_rng(4)).rows
    np.testing.assert_array_equal(one, two)


def test_a_note_tells_the_place_in_each_part() -> None:
    note = Mix(parts={"margin": 1.0, "coreset": 1.0}).select(draw(), 5, np.random.default_rng(0)).notes[0]
    assert "of margin" in note
    assert "of coreset" in note


def test_a_part_that_needs_probabilities_is_named_when_there_are_none() -> None:
    pool = draw()
    with pytest.raises(MissingProbabilities, match="margin"):
        Mix(parts={"margin": 1.0}).select(Pool(pool.features, pool.labels), 5, np.random.default_rng(0))


@pytest.mark.parametrize(
    "wrong",
    [
        {"parts": {}},
        {"parts": {"margin": 0}},
        {"parts": {"mix": 1.0}},
        {"parts": ["margin"]},
        {"parts": {"not a name": 1.0}},
        {"reach": 0},
        {"device": "abacus"},
    ],
)
def test_parameters_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(BadParameter, match=next(iter(wrong))):
        create("mix", **json.loads(json.dumps(wrong)))

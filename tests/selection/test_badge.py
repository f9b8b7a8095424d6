import numpy as np
import pytest

from selection import BadParameter, MissingProbabilities, Pool, create
from selection.strategies.badge import Badge, _Gradients, _residuals


def draw(n: int = 200, d: int = 6, c: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)).astype(np.float32), rng.dirichlet(np.ones(c), size=n)


def gradients(features: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """g = (p - e) outer h, formed: (n, c d)."""
    q = probs - np.eye(probs.shape[1])[probs.argmax(1)]
    return (q[:, :, None] * features.astype(np.float64)[:, None, :]).reshape(len(q), -1)


def by_definition(g: np.ndarray, covered: list[int], budget: int, rng: np.random.Generator) -> list[int]:
    """D^2 sampling on formed gradients, one uniform number a draw."""
    picked: list[int] = []
    while len(picked) < budget:
        seen = covered + picked
        if not seen:
            picked.append(int((g**2).sum(1).argmax()))
            continue
        near = ((g[:, None] - g[seen][None]) ** 2).sum(2).min(1)
        near[seen] = 0
        total = np.cumsum(near)
        picked.append(int(np.searchsorted(total, rng.random() * total[-1], side="right")))
    return picked


@pytest.mark.parametrize("covered", [[], [3, 50, 120]])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_picks_are_those_of_formed_gradients(covered: list[int], seed: int) -> None:
    x, p = draw()
    labels = np.full(200, -1, np.int64)
    labels[covered] = 0
    ranking = Badge().select(Pool(x, labels, p), 25, np.random.default_rng(seed))
    assert ranking.rows.tolist() == by_definition(gradients(x, p), covered, 25, np.random.default_rng(seed))


def test_factorised_distances_are_the_formed_ones() -> None:
    x, p = draw()
    g = gradients(x, p)
    ours = _Gradients(x, _residuals(p, "one"), "cpu").distances(17)
    np.testing.assert_allclose(ours, ((g - g[17]) ** 2).sum(1), rtol=1e-5, atol=1e-6)
    assert ours[17] == 0


def test_the_first_pick_has_the_longest_gradient_and_a_smaller_budget_is_a_prefix() -> None:
    x, p = draw()
    pool = Pool(x, np.full(200, -1, np.int64), p)
    long = Badge().select(pool, 40, np.random.default_rng(5)).rows
    assert long[0] == (gradients(x, p) ** 2).sum(1).argmax()
    np.testing.assert_array_equal(Badge().select(pool, 9, np.random.default_rng(5)).rows, long[:9])


def test_a_copy_of_a_picked_row_is_drawn_only_when_nothing_else_is_left() -> None:
    x, p = draw(20, d=300)
    x, p = np.concatenate([x, x]), np.concatenate([p, p])
    rows = Badge().select(Pool(x, np.full(40, -1, np.int64), p), 40, np.random.default_rng(0)).rows
    assert sorted((rows[:20] % 20).tolist()) == list(range(20))
    assert sorted(rows.tolist()) == list(range(40))


def test_certain_guesses_have_no_gradient_and_are_drawn_uniformly() -> None:
    x, _ = draw(30)
    p = np.eye(3)[np.arange(30) % 3]
    first = {
        int(Badge().select(Pool(x, np.full(30, -1, np.int64), p), 5, np.random.default_rng(s)).rows[1])
        for s in range(12)
    }
    assert len(first) > 4


def test_without_probabilities_it_says_what_is_missing() -> None:
    x, _ = draw()
    with pytest.raises(MissingProbabilities):
        Badge().select(Pool(x, np.full(200, -1, np.int64)), 3, np.random.default_rng(0))


def test_a_device_that_is_none_is_refused() -> None:
    with pytest.raises(BadParameter, match="device"):
        create("badge", device="abacus")

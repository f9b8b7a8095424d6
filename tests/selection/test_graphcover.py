import json

import numpy as np
import pytest

from selection import SKIPPED, BadParameter, Pool, create
from selection.kernels import diffusion
from selection.kernels.diffusion import Reach, cover_mass, diffuse, reach_of
from selection.kernels.graph import knn_graph
from selection.strategies.graphcover import GraphCover


def draw(n: int = 150, d: int = 8) -> np.ndarray:
    rng = np.random.default_rng(n)
    return (rng.normal(size=(6, d))[rng.integers(6, size=n)] * 2 + rng.normal(size=(n, d))).astype(np.float32)


def pool_of(x: np.ndarray, covered: list[int] | None = None) -> Pool:
    labels = np.full(len(x), -1, np.int64)
    labels[covered or []] = SKIPPED
    return Pool(x, labels)


def dense(reach: Reach) -> np.ndarray:
    out = np.zeros((len(reach.rows), len(reach.rows)))
    np.add.at(out, (np.arange(len(out))[:, None], reach.rows), reach.mass)
    return out


def plain_greedy(kernel: np.ndarray, covered: list[int], budget: int) -> list[int]:
    """Facility location by trying every row at every step."""
    best = kernel[covered].max(0) if covered else np.zeros(len(kernel))
    picked: list[int] = []
    while len(picked) < budget:
        gains = np.maximum(kernel - best, 0).sum(1)
        gains[covered + picked] = -1
        picked.append(int(gains.argmax()))
        best = np.maximum(best, kernel[picked[-1]])
    return picked


def test_with_all_entries_kept_many_steps_give_the_inverse_of_the_definition() -> None:
    graph = knn_graph(draw(), k=6)
    s = graph.propagate(np.eye(150))
    whole = 0.2 * np.linalg.inv(np.eye(150) - 0.8 * s)
    np.testing.assert_allclose(dense(diffuse(graph, 0.8, 80, 150)), whole, atol=1e-5)


def test_kept_entries_are_the_largest_of_each_row() -> None:
    graph = knn_graph(draw(), k=6)
    whole = 0.2 * (np.eye(150) + 0.8 * graph.propagate(np.eye(150)))
    kept = dense(diffuse(graph, 0.8, 1, 4))
    for row in range(150):
        assert set(np.flatnonzero(kept[row])) == set(np.argsort(-whole[row], kind="stable")[:4])


@pytest.mark.parametrize("covered", [[], [2, 70, 149]])
def test_picks_are_the_plain_greedys_on_the_dense_kernel(covered: list[int]) -> None:
    x = draw()
    s = knn_graph(x, k=6).propagate(np.eye(150))
    kernel = sum(0.1 * 0.9**t * np.linalg.matrix_power(s, t) for t in range(9))
    rows = GraphCover(neighbors=6, keep=150).select(pool_of(x, covered), 20, np.random.default_rng(0)).rows
    assert rows.tolist() == plain_greedy(kernel, covered, 20)


def test_the_lazy_greedy_is_the_plain_one() -> None:
    reach = diffuse(knn_graph(draw(), k=6), 0.9, 6, 12)
    rows, gains = cover_mass(reach, np.array([5]), np.arange(150) != 5, 149)
    assert rows[:30].tolist() == plain_greedy(dense(reach), [5], 30)
    assert (np.diff(gains) <= 1e-7).all()


def test_the_first_picks_are_one_of_each_group_and_a_smaller_budget_is_a_prefix() -> None:
    rng = np.random.default_rng(0)
    x = (np.eye(5)[np.arange(200) % 5] * 6 + rng.normal(size=(200, 5)) * 0.5).astype(np.float32)
    long = GraphCover(neighbors=8).select(pool_of(x), 40, rng).rows
    assert sorted((long[:5] % 5).tolist()) == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(GraphCover(neighbors=8).select(pool_of(x), 7, rng).rows, long[:7])


def test_a_group_with_labels_comes_after_the_groups_without() -> None:
    rng = np.random.default_rng(0)
    x = (np.eye(5)[np.arange(200) % 5] * 6 + rng.normal(size=(200, 5)) * 0.5).astype(np.float32)
    rows = GraphCover(neighbors=8).select(pool_of(x, [0, 5, 10, 15]), 4, rng).rows
    assert sorted((rows % 5).tolist()) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "wrong",
    [{"neighbors": 0}, {"dims": 0}, {"alpha": 1.0}, {"steps": 0}, {"keep": 0}, {"device": "abacus"}],
)
def test_parameters_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(BadParameter, match=next(iter(wrong))):
        create("graphcover", **json.loads(json.dumps(wrong)))


def test_the_graph_of_a_pool_is_remembered_and_another_pool_or_setting_is_not_mistaken_for_it(monkeypatch):
    built = []
    monkeypatch.setattr(diffusion, "_remembered", {})
    monkeypatch.setattr(diffusion, "knn_graph", lambda *a: built.append(len(a[0])) or knn_graph(*a))
    x = draw().astype(np.float16)
    first = reach_of(x, 6, 128, 0.9, 3, 8)
    assert reach_of(x.copy(), 6, 128, 0.9, 3, 8) is first
    assert built == [150]
    changed = x.copy()
    changed[149, 0] += 1
    for again in (lambda: reach_of(changed, 6, 128, 0.9, 3, 8), lambda: reach_of(x, 5, 128, 0.9, 3, 8)):
        assert again() is not first
    assert built == [150, 150, 150]
    assert len(diffusion._remembered) == 2

import json

import numpy as np
import pytest

from selection import SKIPPED, BadParameter, Pool, create
from selection.kernels.graph import knn_graph
from selection.strategies.graphcover import GraphCover, levels
from selection.strategies.graphcover.diffusion import Reach, cover_mass, diffuse
from selection.strategies.graphcover.levels import Walk, level_of, level_sizes


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


@pytest.mark.parametrize("keep", [3, 12, 60])
def test_a_walk_that_keeps_a_few_entries_is_the_definitions(keep: int) -> None:
    """Step by step on dense float64 arrays; at 60 most rows hold fewer and lose none."""
    graph = knn_graph(draw(), k=4)
    kernel = 0.2 * np.eye(150)
    for _ in range(5):
        kernel = 0.2 * np.eye(150) + 0.8 * graph.propagate(kernel)
        for row in kernel:
            row[np.argsort(-row, kind="stable")[keep:]] = 0
    np.testing.assert_allclose(dense(diffuse(graph, 0.8, 5, keep)), kernel, atol=1e-6)


def test_where_masses_shrink_a_walk_still_keeps_its_largest_entries() -> None:
    """No row may be taken for complete because few of its entries reach what was kept one step before."""
    from selection.strategies.graphcover.walking import step_rows

    rng = np.random.default_rng(1)
    n, m, keep = 40, 8, 8
    rows = np.argsort(rng.random((n, n)), 1)[:, :m].astype(np.int32)
    mass = rng.random((n, m), np.float32) + 1
    columns = np.argsort(rng.random((n, n)), 1)[:, :3].astype(np.int32)
    values = np.full(3 * n, 0.1, np.float32)
    out, bits = np.empty((n, keep), np.int32), np.empty((n, keep), np.int32)
    step_rows(0, n, np.arange(0, 3 * n + 1, 3), columns.ravel(), values, rows, mass, np.float32(0.01), out, bits)
    before = dense(Reach(rows, mass))
    whole = 0.1 * before[columns].sum(1) + 0.01 * np.eye(n)
    for row in range(n):
        assert set(out[row]) == set(np.argsort(-whole[row], kind="stable")[:keep])
        np.testing.assert_allclose(bits[row].view(np.float32), whole[row, out[row]], rtol=1e-5)


def test_of_equal_masses_the_lowest_rows_are_kept() -> None:
    x = np.repeat(np.eye(4, dtype=np.float32), 20, 0)  # each row is as near to all others of its group
    graph = knn_graph(x, k=19)
    kept = np.sort(diffuse(graph, 0.5, 3, 6).rows, 1)
    for row in range(80):
        group = np.arange(row // 20 * 20, row // 20 * 20 + 20)
        others = [other for other in group if other != row][:5]
        assert kept[row].tolist() == sorted([row, *others])


def test_the_number_of_threads_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from selection.strategies.graphcover import diffusion

    graph = knn_graph(draw(), k=6)
    one = diffuse(graph, 0.9, 6, 12)
    monkeypatch.setattr(diffusion, "_ROWS", 16)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    many = diffuse(graph, 0.9, 6, 12)
    assert one.rows.tobytes() == many.rows.tobytes() and one.mass.tobytes() == many.mass.tobytes()


@pytest.mark.parametrize("covered", [[], [2, 70, 149]])
def test_picks_are_the_plain_greedys_on_the_dense_kernel(covered: list[int]) -> None:
    x = draw()
    s = knn_graph(x, k=6).propagate(np.eye(150))
    kernel = sum(0.1 * 0.9**t * np.linalg.matrix_power(s, t) for t in range(9))
    rows = GraphCover(neighbors=6, keep=150).select(pool_of(x, covered), 20, np.random.default_rng(0)).rows
    assert rows.tolist() == plain_greedy(kernel, covered, 20)


def test_the_lazy_greedy_is_the_plain_one() -> None:
    reach = diffuse(knn_graph(draw(), k=6), 0.9, 6, 12)
    rows, gains, better = cover_mass(reach, np.array([5]), np.arange(150) != 5, 149)
    kernel = dense(reach)
    assert rows[:30].tolist() == plain_greedy(kernel, [5], 30)
    assert better[29] == (kernel[rows[29]] > kernel[[5, *rows[:29]]].max(0)).sum()
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


def test_the_first_picks_are_made_on_samples_that_they_can_cover() -> None:
    x = draw(900)
    how = GraphCover(neighbors=6, keep=4)  # samples of 64 and 256 rows, then all
    assert level_sizes(900, 4) == [64, 256, 900]
    assert level_sizes(127, 4) == [127]
    long = how.select(pool_of(x), 300, np.random.default_rng(0)).rows
    coarse, middle = (level_of(x, size, Walk(6, 128, 0.9, 8, 4)).rows for size in (64, 256))
    assert np.isin(coarse, middle).all()
    assert np.isin(long[:16], coarse).all() and np.isin(long[16:64], middle).all()
    assert not np.isin(long[64:], middle).all()
    assert len(set(long.tolist())) == 300
    for budget in (1, 15, 16, 17, 64, 200):
        np.testing.assert_array_equal(how.select(pool_of(x), budget, np.random.default_rng(0)).rows, long[:budget])


def test_labels_move_on_to_finer_samples_and_cover_from_their_nearest_row() -> None:
    x = draw(900)
    how = GraphCover(neighbors=6, keep=4)
    coarse = level_of(x, 64, Walk(6, 128, 0.9, 8, 4))
    outside = int(np.setdiff1d(np.arange(900), coarse.rows)[7])
    unit = coarse.projection.apply(x)
    nearest = int((unit[coarse.rows] @ unit[outside]).argmax())
    assert coarse.places(x, np.array([outside, coarse.rows[9]])).tolist() == [nearest, 9]
    first = how.select(pool_of(x), 1, np.random.default_rng(0)).rows[0]
    twin = np.concatenate([x, x[[first]] * 1.0001])  # a new image like the first pick, labeled
    again = how.select(pool_of(twin, [900]), 5, np.random.default_rng(0)).rows
    assert first not in again
    rows = how.select(pool_of(x, list(range(300, 400))), 40, np.random.default_rng(0)).rows
    assert not np.isin(rows, level_of(x, 256, Walk(6, 128, 0.9, 8, 4)).rows).all()


def test_a_sample_without_free_rows_is_passed_over() -> None:
    x = draw(900)
    coarse = level_of(x, 64, Walk(6, 128, 0.9, 8, 8)).rows
    how = GraphCover(neighbors=6, keep=8)
    assert len(how.select(pool_of(x, coarse[:15].tolist()), 30, np.random.default_rng(0)).rows) == 30
    every = np.setdiff1d(np.arange(900), coarse)[:5]
    rows = how.select(pool_of(x, np.setdiff1d(np.arange(900), every).tolist()), 9, np.random.default_rng(0)).rows
    assert sorted(rows) == sorted(every)


def test_what_a_pool_needs_is_remembered_and_another_pool_or_setting_is_not_mistaken_for_it(monkeypatch):
    built = []
    monkeypatch.setattr(levels, "_remembered", {})
    monkeypatch.setattr(levels, "_LEVELS", 2)
    monkeypatch.setattr(levels, "knn_graph", lambda *a: built.append(len(a[0])) or knn_graph(*a))
    x = draw().astype(np.float16)
    walk = Walk(6, 128, 0.9, 3, 8)
    first = level_of(x, 150, walk)
    assert level_of(x.copy(), 150, walk) is first
    assert built == [150]
    changed = x.copy()
    changed[149, 0] += 1
    for again in (lambda: level_of(changed, 150, walk), lambda: level_of(x, 150, Walk(5, 128, 0.9, 3, 8))):
        assert again() is not first
    assert built == [150, 150, 150]
    assert len(levels._remembered) == 2
    assert level_of(x, 40, walk).rows.tolist() == sorted(level_of(x, 40, walk).rows.tolist())
    assert built[3:] == [40]

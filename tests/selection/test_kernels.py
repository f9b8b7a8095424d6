"""The array kernels against naive float64 forms."""

import numpy as np
import pytest
import torch

from selection.kernels import blocks, distances
from selection.kernels.clean import bad_probs, bad_rows, representatives
from selection.kernels.greedy import facility_order
from selection.kernels.neighbors import neighbor_distances

ROWS = np.random.default_rng(0).normal(size=(257, 12)).astype(np.float16)
WIDE = ROWS.astype(np.float64)
BETWEEN = ((WIDE[:, None] - WIDE[None]) ** 2).sum(2)


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9])
def test_blocks_cover_every_row_once(n):
    assert [row for part in blocks.blocks(n, 4) for row in range(n)[part]] == list(range(n))


@pytest.mark.parametrize("size", [1, 1000, 1 << 24])
def test_distances_equal_the_naive_ones_in_any_block(size):
    with blocks.block_bytes(size):
        assert np.allclose(distances.squared_norms(ROWS), (WIDE**2).sum(1), rtol=1e-5)
        index, squared = distances.nearest(ROWS, ROWS[:20])
        assert (index == BETWEEN[:, :20].argmin(1)).all()
        assert np.allclose(squared, BETWEEN[:, :20].min(1), atol=1e-4)
        assert np.allclose(distances.distances_to(ROWS, ROWS[3]), BETWEEN[:, 3], rtol=1e-5)
        assert np.allclose(distances.mean_row(ROWS), WIDE.mean(0))
        assert np.allclose(distances.exact_distances_to(ROWS, ROWS[3]), BETWEEN[:, 3], rtol=1e-13)


def test_equal_distances_go_to_the_first_center():
    assert distances.nearest(ROWS, ROWS[[5, 5, 9]])[0][5] == 0


def test_rounding_bounds_the_error_of_float32():
    rows = (WIDE + 30.0).astype(np.float32)
    norms = (rows.astype(np.float64) ** 2).sum(1)
    true = ((rows[:, None].astype(np.float64) - rows[None, :9]) ** 2).sum(2).min(1)
    near = distances.nearest(rows, rows[:9])[1]
    error = np.abs(near - true)
    assert (error <= distances.rounding(norms, near, 12)).all()
    assert error.max() > 1e-6  # the case does round


def test_unit_rows_leave_zero_rows_zero():
    rows = ROWS.copy()
    rows[4] = 0
    lengths = np.linalg.norm(distances.unit_rows(rows), axis=1)
    assert lengths[4] == 0 and np.allclose(np.delete(lengths, 4), 1, atol=1e-6)


@pytest.mark.parametrize("among", [None, np.arange(0, 257, 3)])
@pytest.mark.parametrize("size", [1, 1 << 24])
def test_neighbours_are_the_nearest_others(among, size):
    own = BETWEEN.copy()
    np.fill_diagonal(own, np.inf)
    allowed = np.arange(257) if among is None else among
    with blocks.block_bytes(size):
        squared = neighbor_distances(torch.from_numpy(ROWS).float(), 5, among=among)
    assert np.allclose(squared, np.sort(own[:, allowed], axis=1)[:, :5], atol=1e-4)


def test_a_copy_is_a_neighbour_and_oneself_is_not():
    rows = torch.from_numpy(ROWS[:9]).float()
    rows[6] = rows[2]
    squared = neighbor_distances(rows, 1)
    assert max(squared[2, 0], squared[6, 0]) < 1e-5 < np.delete(squared[:, 0], [2, 6]).min()
    with pytest.raises(ValueError, match="between 0"):
        neighbor_distances(rows, 9)


def test_bad_rows_are_told_apart():
    rows = WIDE[:8].copy()
    rows[1, 0], rows[3, 0], rows[5] = np.nan, -np.inf, 0
    broken, zero = bad_rows(rows)
    assert broken.tolist() == [1, 3] and zero.tolist() == [5]
    probs = np.full((5, 2), 0.5)
    probs[0, 0], probs[2], probs[4] = np.nan, [1.5, -0.5], [0.5, 0.6]
    assert bad_probs(probs).tolist() == [0, 2, 4]


@pytest.mark.parametrize("size", [1, 1 << 24])
def test_representatives_are_the_lowest_equal_rows(size):
    rows = ROWS.copy()
    rows[[9, 200]] = rows[5]
    rows[256] = rows[255]
    wanted = np.arange(257)
    wanted[[9, 200, 256]] = 5, 5, 255
    with blocks.block_bytes(size):
        assert (representatives(rows) == wanted).all()
        assert (representatives(np.asfortranarray(rows)) == wanted).all()


@pytest.mark.parametrize("covered", [None, np.array([100, 3])])
def test_facility_order_is_the_greedy_of_the_definition(covered):
    x = distances.unit_rows(ROWS).astype(np.float64)
    picks = np.arange(20, 60, 2)
    alike = x @ x[picks].T
    best = alike.min(1) if covered is None else np.maximum(alike.min(1), (x @ x[covered].T).max(1))
    wanted = []
    for _ in picks:
        gains = np.maximum(alike - best[:, None], 0).sum(0)
        gains[wanted] = -1
        wanted.append(int(gains.argmax()))
        best = np.maximum(best, alike[:, wanted[-1]])
    order = facility_order(x.astype(np.float32), picks, covered=covered)
    assert order.tolist() == wanted


def test_facility_order_of_a_pool_too_large_uses_every_few_rows(monkeypatch):
    monkeypatch.setattr("selection.kernels.greedy.FACILITY_ENTRIES", 500)
    x = distances.unit_rows(ROWS)
    assert sorted(facility_order(x, np.arange(10))) == list(range(10))

import json

import numpy as np
import pytest
import torch

from selection import SKIPPED, BadParameter, Pool, create
from selection.strategies.activeft.attraction import Descent, UnitRows, _gradient_parts, fit_centroids
from selection.strategies.activeft.selector import ActiveFT, _one_chunk

GOLDEN = {
    0: (
        [197, 388, 215, 20, 132, 261, 248, 207, 155, 244, 183, 298, 111, 258, 71, 144, 386, 48, 316, 128],
        [297, 388, 385, 275, 132, 176, 333, 102, 0, 329, 183, 213, 41, 173, 376, 399, 386, 103, 231, 198],
        (1.6554, 1.347772),
    ),
    1: (
        [68, 291, 391, 32, 130, 60, 253, 389, 230, 241, 333, 194, 107, 48, 249, 14, 199, 221, 311, 390],
        [238, 206, 1, 102, 300, 260, 168, 219, 230, 21, 248, 24, 382, 218, 344, 184, 29, 126, 366, 280],
        (1.735494, 1.314963),
    ),
}
"""Start, picks and first and last loss of the official code (yichen928/ActiveFT@0687b00) on the golden rows."""

PUBLISHED = Descent(300, 1e-3, 0.07, 1.0, 0, "float32")


def golden_rows() -> np.ndarray:
    n, k = np.arange(400)[:, None], np.arange(1, 9)[None]
    x = 0.35 * np.sin(0.37 * n * k) + np.cos(1.7 * (n % 5 + 1) * k)
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def unit(x: np.ndarray, precision: str = "float32") -> UnitRows:
    return UnitRows(x, hold=True, precision=precision, device="cpu")


def none_labeled(x: np.ndarray) -> Pool:
    return Pool(x, np.full(len(x), -1, np.int64))


@pytest.mark.parametrize("seed", [0, 1])
def test_picks_and_losses_are_the_official_codes(seed: int) -> None:
    start, picks, ends = GOLDEN[seed]
    rng, none = np.random.default_rng(0), np.empty(0, np.int64)
    rows, _ = _one_chunk(unit(golden_rows()), np.array(start), none, np.ones(400, bool), PUBLISHED, rng)
    assert rows.tolist() == picks
    _, losses = fit_centroids(unit(golden_rows()), np.array(start), none, PUBLISHED, rng)
    assert (losses[0], losses[-1]) == pytest.approx(ends, abs=1e-4)


@pytest.mark.parametrize("frozen", [[], [3, 77, 200]])
def test_the_written_gradient_is_autograds(frozen: list[int]) -> None:
    rows = unit(golden_rows(), "float64")
    start, tau = np.array([5, 60, 130, 391]), 0.07
    theta = rows.take(start).clone() * torch.tensor([[1.0], [0.7], [1.3], [2.0]], dtype=torch.float64)
    theta.requires_grad_()
    centers = torch.nn.functional.normalize(theta, dim=1)
    fixed = rows.take(np.array(frozen, np.int64))
    every = torch.cat([fixed, centers])
    best, at = (rows.held @ every.T).max(1)
    crowd = torch.exp(every.detach() @ every.T / tau).sum(0)
    attract = torch.exp(best / tau)
    (-torch.log(attract / (attract + crowd[at])).mean()).backward()
    bar = (rows.held @ fixed.T).max(1).values if frozen else None
    how = Descent(1, 1e-3, tau, 1.0, 0, "float64")
    with torch.no_grad():
        pull, mass, _, push, count = _gradient_parts(rows, centers, fixed, bar, how, np.random.default_rng(0))
        ours = (push * mass[:, None] - pull) / (count * tau)
        ours = (ours - (ours * centers).sum(1, keepdim=True) * centers) / theta.norm(dim=1, keepdim=True)
    torch.testing.assert_close(ours, theta.grad, atol=1e-10, rtol=1e-8)


def test_a_temperature_whose_exponential_overflows_still_gives_a_finite_loss() -> None:
    how = Descent(5, 1e-3, 0.001, 1.0, 0, "float32")
    _, losses = fit_centroids(unit(golden_rows()), np.arange(10), np.empty(0, np.int64), how, np.random.default_rng(0))
    assert np.isfinite(losses).all()


def test_picks_represent_the_pool_better_than_the_random_start() -> None:
    rng = np.random.default_rng(3)
    x = (rng.normal(size=(20, 16))[rng.integers(20, size=1500)] * 2 + rng.normal(size=(1500, 16))).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    chosen = ActiveFT(iterations=300).select(none_labeled(x), 40, np.random.default_rng(0)).rows
    random = [(x @ x[rng.choice(1500, 40, replace=False)].T).max(1).mean() for _ in range(5)]
    assert (x @ x[chosen].T).max(1).mean() > np.mean(random)


def test_new_picks_leave_the_group_that_has_labels() -> None:
    rng = np.random.default_rng(0)
    x = np.eye(4, dtype=np.float32)[np.arange(400) % 4] * 3 + rng.normal(size=(400, 4)).astype(np.float32) * 0.3
    labels = np.full(400, -1, np.int64)
    labels[:40:4] = 0  # ten rows of the first group ...
    labels[40:60:4] = SKIPPED  # ... and five that were skipped, of which a center is frozen too
    rows = ActiveFT(iterations=300, rate=1e-2).select(Pool(x, labels), 3, rng).rows
    assert sorted((rows % 4).tolist()) == [1, 2, 3]


def test_a_ranking_in_chunks_has_no_row_twice_and_starts_with_the_ranking_of_one_chunk() -> None:
    x = golden_rows()
    long = ActiveFT(iterations=20, batch=7).select(none_labeled(x), 30, np.random.default_rng(0)).rows
    short = ActiveFT(iterations=20, batch=7).select(none_labeled(x), 7, np.random.default_rng(0)).rows
    assert len(set(long.tolist())) == 30
    np.testing.assert_array_equal(long[:7], short)


def test_inside_a_chunk_the_order_is_greedy_facility_location() -> None:
    x = golden_rows()
    rows = ActiveFT(iterations=30).select(none_labeled(x), 12, np.random.default_rng(0)).rows
    seen = np.concatenate([x, x[rows]]).astype(np.float64)  # the picks count twice
    sims = seen @ x[rows].T.astype(np.float64)  # (n + k, k) in ranked order
    served = sims.min(1)
    for step in range(12):
        gains = np.maximum(sims - served[:, None], 0).sum(0)
        assert gains[step] >= gains[step:].max() - 1e-3
        served = np.maximum(served, sims[:, step])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_fast_form_covers_about_as_well_as_the_full_one(precision: str) -> None:
    rng = np.random.default_rng(3)
    x = (rng.normal(size=(20, 16))[rng.integers(20, size=1500)] * 2 + rng.normal(size=(1500, 16))).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    full = ActiveFT(iterations=100).select(none_labeled(x), 30, np.random.default_rng(0)).rows
    fast = ActiveFT(iterations=60, rows_per_step=500, precision=precision)
    rows = fast.select(none_labeled(x), 30, np.random.default_rng(0)).rows
    assert len(set(rows.tolist())) == 30
    assert (x @ x[rows].T).max(1).mean() > (x @ x[full].T).max(1).mean() - 0.02


@pytest.mark.parametrize("x", [np.ones((50, 3)), np.zeros((50, 3)), np.repeat(np.eye(5), 10, axis=0)])
def test_equal_and_zero_rows_give_distinct_picks(x: np.ndarray) -> None:
    ranking = ActiveFT(iterations=10, batch=20).select(none_labeled(x), 45, np.random.default_rng(0))
    assert len(set(ranking.rows.tolist())) == 45
    assert np.isfinite(ranking.scores).all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"iterations": -1},
        {"rate": 0},
        {"temperature": 0},
        {"balance": 0},
        {"batch": 0},
        {"rows_per_step": -1},
        {"precision": "float16"},
        {"precision": "bfloat16"},
        {"device": "tpu"},
    ],
)
def test_parameters_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(BadParameter, match=next(iter(wrong))):
        create("activeft", **json.loads(json.dumps(wrong)))

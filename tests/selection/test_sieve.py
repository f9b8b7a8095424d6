import numpy as np
import pytest
import torch

from selection.kernels import cosine, sieve
from selection.kernels.cosine import nearest_by_cosine
from selection.kernels.top import halve_blocks


def draw(n: int, d: int, spread: float = 0.4) -> np.ndarray:
    rng = np.random.default_rng(n + d)
    x = rng.normal(size=(12, d))[rng.integers(12, size=n)] + rng.normal(size=(n, d)) * spread
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def sieved(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Sieves on any CPU, and tells for each tile whether the sieve could decide it."""
    told: list[bool] = []
    inner = cosine._sieved

    def watched(*args: object) -> object:
        found = inner(*args)  # type: ignore[arg-type]
        told.append(found is not None)
        return found

    monkeypatch.setattr(cosine, "_sieved", watched)
    monkeypatch.setattr(cosine, "shortlists", lambda *_: True)
    return told


def test_no_product_that_reaches_the_bar_is_lost_to_rounding() -> None:
    x = draw(700, 96)
    halves = halve_blocks(torch.from_numpy(x))
    moved = sieve.rounding(halves, halves)
    bits, maxima = sieve.products(halves, halves)
    exact = x.astype(np.float64) @ x.T.astype(np.float64)
    for least in (0.3, 0.7, 0.9):
        bars = np.full(700, least, np.float32)
        found = set(zip(*(a.tolist() for a in sieve.reaching(bits, maxima, sieve.bar_of(bars, moved))), strict=True))
        wanted = set(zip(*(a.tolist() for a in np.nonzero(exact >= least)), strict=True))
        assert wanted <= found
        assert len(found) < len(wanted) + (np.abs(exact - least) < 0.05).sum()


@pytest.mark.parametrize("skip_self", [False, True])
def test_sieved_neighbours_are_those_of_float64(skip_self: bool, sieved: list[bool]) -> None:
    x = draw(1500, 96)
    rows, cosines = nearest_by_cosine(x, x, 15, skip_self=skip_self)
    exact = x.astype(np.float64) @ x.T.astype(np.float64)
    if skip_self:
        np.fill_diagonal(exact, -2)
    best = -np.sort(-exact, axis=1)[:, :15]
    assert sieved == [True] * 6
    np.testing.assert_allclose(cosines, best, atol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(exact, rows.astype(np.int64), 1), best, atol=1e-6)
    assert all(len(set(row)) == 15 for row in rows.tolist())


@pytest.mark.parametrize("x", [np.zeros((1500, 64), np.float32), np.full((1500, 64), 0.125, np.float32)])
def test_where_rounding_leaves_too_much_float32_decides(x: np.ndarray, sieved: list[bool]) -> None:
    rows, cosines = nearest_by_cosine(x, x, 5, skip_self=True)
    assert not any(sieved)
    np.testing.assert_allclose(cosines, x[0] @ x[0])
    assert not (rows == np.arange(1500)[:, None]).any()


def test_a_row_without_any_near_one_is_left_to_float32(sieved: list[bool]) -> None:
    x = np.abs(draw(1500, 64))
    x[700] = -x[3]  # all its cosines are below 0, where bits have no order
    rows, cosines = nearest_by_cosine(x, x, 3)
    exact = x.astype(np.float64) @ x.T.astype(np.float64)
    assert sieved == [True, True, False, True, True, True]
    np.testing.assert_allclose(cosines, -np.sort(-exact, axis=1)[:, :3], atol=1e-6)
    assert rows[700, 0] == 700

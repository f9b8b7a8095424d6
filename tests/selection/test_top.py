"""The best center of each row, found by rounded products and decided by exact ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from selection.kernels import top


def _drawn(seed: int, m: int = 300, k: int = 96, d: int = 128) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    made = torch.Generator().manual_seed(seed)
    x = torch.randn(m, d, generator=made)
    centers = torch.randn(k, d, generator=made)
    return x, centers, -0.5 * centers.square().sum(1)


def _answer(x: torch.Tensor, centers: torch.Tensor, bias: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    return top.best_center(x, centers, bias, (top.halve(x), top.halve(centers)))


@pytest.mark.parametrize("seed", range(5))
def test_the_shortlist_gives_the_center_that_float64_gives(seed: int) -> None:
    x, centers, bias = _drawn(seed)
    for b in (None, bias):
        best, at = _answer(x, centers, b)
        truth = x.double() @ centers.double().T + (0 if b is None else b.double())
        np.testing.assert_array_equal(at, truth.argmax(1))
        np.testing.assert_allclose(best, truth.amax(1), atol=2e-4)


def test_centers_that_differ_less_than_bfloat16_can_tell_are_told_apart() -> None:
    x, centers, _ = _drawn(1)
    x = torch.nn.functional.normalize(x, dim=1)
    centers = torch.nn.functional.normalize(centers[:1] + 1e-3 * centers, dim=1)  # all within a hundredth
    rounded = (x.bfloat16() @ centers.bfloat16().T).argmax(1)
    truth = (x.double() @ centers.double().T).topk(2)
    clear = truth.values[:, 0] - truth.values[:, 1] > 1e-6
    assert (rounded != truth.indices[:, 0])[clear].any()
    np.testing.assert_array_equal(_answer(x, centers, None)[1][clear], truth.indices[clear, 0])


def test_equal_centers_give_the_lowest_one() -> None:
    x, centers, _ = _drawn(2)
    twice = torch.cat([centers, centers])
    assert int(_answer(x, twice, None)[1].max()) < len(centers)


def test_rows_far_from_the_origin_are_still_exact() -> None:
    x, centers, _ = _drawn(3)
    x, centers = x + 50, centers + 50
    bias = -0.5 * centers.double().square().sum(1).float()
    best, at = _answer(x, centers, bias)
    plain, plain_at = top.best_center(x, centers, bias, None)
    np.testing.assert_array_equal(at, plain_at)  # so many candidates that one product of all is made
    np.testing.assert_array_equal(best, plain)


def test_halving_in_blocks_is_halving() -> None:
    x, _, _ = _drawn(4, m=5000)
    whole, parts = top.halve(x), top.halve_blocks(x)
    assert torch.equal(whole.rows, parts.rows) and torch.equal(whole.part(slice(7, 9)).lost, parts.lost[7:9])
    assert bool((whole.lost <= 2.0**-8 * whole.length).all())


def test_small_products_and_float64_are_left_alone() -> None:
    assert not top.shortlists("cpu", torch.float64, 512, 512)
    assert not top.shortlists("cpu", torch.float32, 512, 8)
    assert not top.shortlists("cuda", torch.float32, 512, 512)

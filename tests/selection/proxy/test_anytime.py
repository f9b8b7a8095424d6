"""The audit's interval: equal to its definition, and right at every look, which Wilson's is not."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from math import comb

import numpy as np
import pytest

from selection.contract import BadParameter
from selection.proxy.anytime import interval, share
from selection.proxy.calibration import wilson

ALPHA = 0.05
RUNS = 2000
LOOKS = 150
NOISE = 3 * float(np.sqrt(ALPHA * (1 - ALPHA) / RUNS))


def naive(right: int, seen: int, population: int, alpha: float) -> tuple[float, float]:
    """All K whose prior over posterior is below 1 / alpha, by whole numbers."""
    whole = comb(population + 1, seen + 1)
    kept = [
        count
        for count in range(right, population - (seen - right) + 1)
        if comb(count, right) * comb(population - count, seen - right) * (population + 1) > Fraction(alpha) * whole
    ]
    assert kept == list(range(kept[0], kept[-1] + 1))
    return kept[0] / population, kept[-1] / population


@pytest.mark.parametrize("alpha", [0.0501, 0.00123])
def test_the_interval_is_the_set_of_its_definition(alpha: float) -> None:
    for population in (1, 2, 3, 7, 24):
        for seen in range(1, population + 1):
            for right in range(seen + 1):
                assert interval(right, seen, population, alpha) == naive(right, seen, population, alpha)
    rng = np.random.default_rng(0)
    for _ in range(20):
        population = int(rng.integers(50, 600))
        seen = int(rng.integers(1, population + 1))
        right = int(rng.integers(seen + 1))
        assert interval(right, seen, population, alpha) == naive(right, seen, population, alpha)


def test_nothing_seen_tells_nothing_and_all_seen_tells_all() -> None:
    assert interval(0, 0, 0, ALPHA) == interval(0, 0, 4000, ALPHA) == (0.0, 1.0)
    for population in (1, 50, 4000):
        for right in (0, population // 2, population):
            assert interval(right, population, population, ALPHA) == (right / population, right / population)


def test_a_million_tasks_are_no_harder_and_the_ends_mirror_each_other() -> None:
    low, high = interval(900, 1000, 1_000_000, ALPHA)
    whole = Fraction(ALPHA) * comb(1_000_001, 1001)
    ends = [round(low * 1e6) - 1, round(low * 1e6), round(high * 1e6), round(high * 1e6) + 1]
    kept = [comb(count, 900) * comb(1_000_000 - count, 100) * 1_000_001 > whole for count in ends]
    assert kept == [False, True, True, False]
    mirrored = interval(100, 1000, 1_000_000, ALPHA)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-5)
    few = interval(90, 100, 200, ALPHA)
    many = interval(90, 100, 20_000, ALPHA)
    assert few[1] - few[0] < many[1] - many[0]  # half of all were seen


@pytest.mark.parametrize("given", [(2, 1, 5, 0.05), (-1, 1, 5, 0.05), (1, 6, 5, 0.05), (1, 2, 5, 0.0), (1, 2, 5, 1.0)])
def test_what_makes_no_sense_is_refused(given: tuple[int, int, int, float]) -> None:
    with pytest.raises(BadParameter, match="right <= seen <= population"):
        interval(*given)


def test_the_shares_of_all_models_together_are_alpha_and_later_ones_are_not_larger() -> None:
    shares = [share(ALPHA, number) for number in range(1, 20_001)]
    assert sum(shares) == pytest.approx(ALPHA * (1 - 50 / 20_050))
    assert shares == sorted(shares, reverse=True)
    with pytest.raises(BadParameter, match="counted from 1"):
        share(ALPHA, 0)


@cache
def ends(population: int, looks: int, *, one_look: bool = False, spent: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """(looks + 1, looks + 1) each: low and high by (seen, right); spent: each number seen is another model's turn."""
    low, high = np.zeros((looks + 1, looks + 1)), np.ones((looks + 1, looks + 1))
    for seen in range(1, looks + 1):
        alpha = share(ALPHA, seen) if spent else ALPHA
        for right in range(seen + 1):
            found = wilson(right, seen) if one_look else interval(right, seen, population, alpha)
            low[seen, right], high[seen, right] = found
    return low, high


def drawn(rng: np.random.Generator, right_of_all: int, population: int, looks: int) -> np.ndarray:
    """(RUNS, looks) right after each draw without replacement."""
    right = np.zeros((RUNS, looks + 1), np.int64)
    for seen in range(looks):
        left = (right_of_all - right[:, seen]) / (population - seen)
        right[:, seen + 1] = right[:, seen] + (rng.random(RUNS) < left)
    return right[:, 1:]


def missed_ever(right: np.ndarray, truth: np.ndarray, bounds: tuple[np.ndarray, np.ndarray]) -> float:
    """Share of runs (RUNS, looks) in which the truth (looks,) is outside at one look at least."""
    seen = np.arange(1, right.shape[1] + 1)
    low, high = bounds[0][seen, right], bounds[1][seen, right]  # (RUNS, looks)
    return float(((truth < low - 1e-9) | (truth > high + 1e-9)).any(1).mean())


@pytest.mark.parametrize("population", [400, 2000, 50_000])
def test_looked_at_after_every_label_it_is_wrong_in_alpha_of_the_runs_and_wilson_in_far_more(population: int) -> None:
    """(10-F5) At 95%, Wilson's interval missed the truth at least once in 26-31% of the runs."""
    rng = np.random.default_rng(population)
    ours, theirs = ends(population, LOOKS), ends(population, LOOKS, one_look=True)
    for p in (0.7, 0.9, 0.97):
        right_of_all = round(p * population)
        right = drawn(rng, right_of_all, population, LOOKS)
        truth = np.full(LOOKS, right_of_all / population)
        assert missed_ever(right, truth, ours) <= ALPHA + NOISE
        late = np.arange(LOOKS) >= 9  # Wilson's from ten labels on: its first ones are another story
        again = np.where(late, truth, np.nan)
        assert missed_ever(right, again, theirs) > 2 * (ALPHA + NOISE)


@pytest.mark.parametrize("population", [400, 2000, 50_000])
def test_heads_that_change_at_every_label_are_all_covered_together(population: int) -> None:
    """(10-F5) One interval for one model says nothing of the worst of 150 models: each spends its share."""
    rng = np.random.default_rng(population)
    spent, whole = ends(population, LOOKS, spent=True), ends(population, LOOKS)
    seen = np.arange(1, LOOKS + 1)
    for first, last in ((0.5, 0.7), (0.6, 0.9), (0.7, 0.97)):  # heads get better, and err independently: the worst case
        right_of_all = np.round(np.linspace(first, last, LOOKS) * population).astype(np.int64)
        right = rng.hypergeometric(right_of_all, population - right_of_all, seen, (RUNS, LOOKS))
        truth = right_of_all / population
        assert missed_ever(right, truth, spent) <= ALPHA + NOISE
        assert missed_ever(right, truth, whole) > ALPHA + NOISE  # without shares it does not hold

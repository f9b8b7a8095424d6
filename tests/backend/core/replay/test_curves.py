"""The statistics of a simulation against their definitions, written out naively."""

from __future__ import annotations

import numpy as np
import pytest

from backend.core.replay.curves import (
    ENOUGH,
    Interval,
    area,
    bootstrap,
    compare,
    labels_to_reach,
    paired,
    saved,
    saved_at,
)

COUNTS = np.array([10, 20, 40])


def test_the_area_is_the_mean_height_of_the_straight_lines():
    curve = np.array([0.2, 0.6, 0.8])
    fine = np.linspace(10, 40, 300_001)
    assert area(COUNTS, curve) == pytest.approx(np.interp(fine, COUNTS, curve).mean(), abs=1e-5)
    assert area(COUNTS, np.stack([curve, curve + 0.1])).tolist() == pytest.approx([0.6, 0.7])
    assert area(np.array([10]), np.array([0.3])) == 0.3


def test_labels_to_reach_is_the_first_crossing():
    rng = np.random.default_rng(1)
    for _ in range(50):
        curve = rng.random(3)
        target = rng.random()
        fine = np.linspace(10, 40, 30_001)
        above = np.flatnonzero(np.interp(fine, COUNTS, curve) >= target)
        naive = fine[above[0]] if len(above) else np.inf
        assert labels_to_reach(COUNTS, curve, target) == pytest.approx(naive, abs=0.01)


def test_labels_saved_is_one_less_the_ratio_and_never_more_than_was_measured():
    slow, fast = np.array([0.2, 0.4, 0.6]), np.array([0.4, 0.6, 0.7])
    assert saved(COUNTS, fast, slow, 0.6) == pytest.approx(1 - 20 / 40)
    assert saved(COUNTS, fast, slow, 0.7) == 0.0  # the slow one never gets there: its 40 labels stand for it
    assert saved(COUNTS, slow, fast, 0.7) == -np.inf
    assert saved(COUNTS, slow, fast, 0.6) == pytest.approx(1 - 40 / 20)
    both = np.tile(fast, (3, 1)), np.tile(slow, (3, 1))
    assert saved_at(COUNTS, *both, 1).value == pytest.approx(1 - 20 / 40)


def test_a_base_that_goes_on_shows_how_much_is_saved_late():
    fast, slow = np.array([0.4, 0.6, 0.7]), np.array([0.2, 0.4, 0.6, 0.65, 0.75])
    further = np.array([10, 20, 40, 80, 160])
    ours, base = np.tile(fast, (6, 1)), np.tile(slow, (6, 1))
    found = compare(COUNTS, ours, base, further=further)
    assert found.target == 0.6 and found.to_target == pytest.approx(20)
    assert found.saved_at[2].value == pytest.approx(1 - 40 / 120)  # 0.7 lies half way from 80 to 160
    assert compare(COUNTS, ours, base[:, :3]).saved_at[2].value == 0  # not measured, not claimed
    assert len(found.gap) == 3 and found.area_gap == compare(COUNTS, ours, base[:, :3]).area_gap


def test_the_interval_covers_the_truth_as_often_as_it_says():
    """Nineteen of twenty, with ten draws of a normal; the plain percentile bootstrap gives nine of ten."""
    rng = np.random.default_rng(0)
    found = [paired(rng.normal(0.3, 1, 10), np.zeros(10)) for _ in range(300)]
    covered = np.mean([item.low <= 0.3 <= item.high for item in found])
    assert 0.92 <= covered <= 0.98


def test_the_interval_is_near_students():
    from scipy.stats import t

    gaps = np.random.default_rng(2).normal(0, 1, 30)
    half = t.ppf(0.975, 29) * gaps.std(ddof=1) / np.sqrt(30)
    found = paired(gaps, np.zeros(30))
    assert found.low == pytest.approx(gaps.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(gaps.mean() + half, abs=0.1 * half)
    assert found == paired(gaps, np.zeros(30))


def test_pairing_takes_the_luck_of_a_draw_out():
    luck = np.random.default_rng(3).normal(0, 10, 8)
    found = paired(luck + 1.0 + 0.01 * np.arange(8), luck)
    assert found.verdict == "better" and found.high - found.low < 0.1


def test_few_draws_or_an_interval_around_nothing_cannot_tell():
    assert Interval(1.0, 0.5, 1.5, ENOUGH).verdict == "better"
    assert Interval(1.0, 0.5, 1.5, ENOUGH - 1).verdict == "cannot tell"
    assert Interval(-1.0, -1.5, -0.5, ENOUGH).verdict == "worse"
    assert Interval(1.0, -0.5, 1.5, 100).verdict == "cannot tell"
    one = bootstrap(1, lambda weights: np.full(len(weights), 3.0))
    assert (one.low, one.high, one.verdict) == (-np.inf, np.inf, "cannot tell")


def test_a_comparison_counts_stops_won_tied_and_lost():
    rng = np.random.default_rng(4)
    base = np.array([0.3, 0.5, 0.7]) + rng.normal(0, 0.02, (8, 3))
    ours = base + np.array([0.1, 0.0, -0.1]) + rng.normal(0, 0.001, (8, 3))
    ours[:4, 1] += 0.05
    ours[4:, 1] -= 0.05
    found = compare(COUNTS, ours, base)
    assert (found.wins, found.ties, found.losses) == (1, 1, 1)
    assert found.target == pytest.approx(base.mean(0)[-1])
    assert found.area == pytest.approx(float(area(COUNTS, ours.mean(0))))
    assert found.saved.value == -np.inf  # it ends below what random reaches
    with_itself = compare(COUNTS, base, base)
    assert with_itself.ties == 3 and with_itself.area_gap.value == 0 and with_itself.saved.verdict == "cannot tell"

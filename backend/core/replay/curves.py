"""Learning curves compared: areas, labels to reach an accuracy, labels saved, with intervals paired over the draws.

A curve is accuracy (r,) at `counts` (r,) labels, ascending; a bundle of curves is (s, r), one row a draw. Everything
is compared on the same draws, which takes the luck of a draw out of the difference.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Verdict = Literal["better", "worse", "cannot tell"]

ENOUGH = 5
"""Draws below which nothing is claimed: of a few differences, all may have one sign by luck."""
RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its 95% interval, which rests on so many draws; an infinite bound: no limit is known."""

    value: float
    low: float
    high: float
    draws: int

    @property
    def verdict(self) -> Verdict:
        """Whether it is above or below 0; an interval that holds 0, or fewer than 5 draws, cannot tell."""
        if self.draws >= ENOUGH and self.low > 0:
            return "better"
        if self.draws >= ENOUGH and self.high < 0:
            return "worse"
        return "cannot tell"


def bootstrap(draws: int, statistic: Callable[[Floats], Floats]) -> Interval:
    """95% interval of a statistic by drawing the draws anew.

    statistic : weights (m, s), rows that sum to 1 -> (m,): `weights @ curves` are m mean curves.
    Percentile bootstrap, expanded as in Hesterberg, "What teachers should know about the bootstrap", 2015: with few
    draws the plain one is too narrow. The same draws give the same interval. A single draw has no interval: all
    values are possible.
    """
    value = float(statistic(np.full((1, draws), 1 / draws))[0])
    if draws < 2:
        return Interval(value, -np.inf, np.inf, draws)
    from scipy.stats import norm, t

    weights = np.random.default_rng(0).multinomial(draws, np.full(draws, 1 / draws), RESAMPLES) / draws
    tail = float(norm.cdf(t.ppf((1 - LEVEL) / 2, draws - 1) * np.sqrt(draws / (draws - 1))))
    found = statistic(weights)
    low, high = np.quantile(found, [tail, 1 - tail], method="inverted_cdf")  # no sums: values may be infinite
    return Interval(value, float(low), float(high), draws)


def paired(ours: Floats, theirs: Floats) -> Interval:
    """Mean of ours - theirs, (s,) each, with its interval."""
    gaps = ours - theirs
    return bootstrap(len(gaps), lambda weights: weights @ gaps)


def area(counts: Counts, curves: Floats) -> Floats:
    """Mean accuracy between the first and the last count, by trapezoids: (..., r) -> (...)."""
    if len(counts) == 1:
        return np.asarray(curves[..., 0], np.float64)
    widths = np.diff(counts).astype(np.float64)
    return np.asarray(((curves[..., 1:] + curves[..., :-1]) / 2 * widths).sum(-1) / widths.sum(), np.float64)


def labels_to_reach(counts: Counts, curves: Floats, target: Floats | float) -> Floats:
    """Labels at which curves (..., r) first reach `target` (...), between two counts by a straight line; inf if never.

    A curve that starts above the target gives the first count: what lies before was not measured.
    """
    wanted = np.asarray(target)[..., None]
    reached = curves >= wanted  # (..., r)
    after = reached.argmax(-1)[..., None]
    before = np.maximum(after - 1, 0)
    low, high = np.take_along_axis(curves, before, -1), np.take_along_axis(curves, after, -1)
    part = np.where(after > 0, (wanted - low) / np.where(high > low, high - low, 1.0), 0.0)
    found = counts[before] + part * (counts[after] - counts[before])
    return np.where(reached.any(-1), found[..., 0], np.inf)


def saved(
    counts: Counts, ours: Floats, theirs: Floats, target: Floats | float, further: Counts | None = None
) -> Floats:
    """Share of labels saved at an accuracy: 1 - n_ours / n_theirs, for curves (..., r).

    further : counts of theirs, (r',), if it goes on where ours ends. Where theirs never gets there its last count
    stands for it, so that no more is claimed than was measured; where ours never does the result is -inf.
    """
    return np.asarray(1 - labels_to_reach(counts, ours, target) / _needed(_or(further, counts), theirs, target))


def saved_at_target(
    counts: Counts, ours: Floats, theirs: Floats, target: float | None = None, further: Counts | None = None
) -> Interval:
    """Labels saved on the mean curves of bundles (s, r) at `target`; None: where theirs is after ours's last count."""

    def statistic(weights: Floats) -> Floats:
        other = weights @ theirs
        goal = other[:, len(counts) - 1] if target is None else np.full(len(weights), target)
        return saved(counts, weights @ ours, other, goal, further)

    return bootstrap(len(ours), statistic)


def saved_at(counts: Counts, ours: Floats, theirs: Floats, stop: int, further: Counts | None = None) -> Interval:
    """Labels saved at what ours reaches after `stop`: 1 - n / n_theirs(that accuracy), never more than measured."""

    def statistic(weights: Floats) -> Floats:
        reached = (weights @ ours)[:, stop]
        return np.asarray(1 - counts[stop] / _needed(_or(further, counts), weights @ theirs, reached))

    return bootstrap(len(ours), statistic)


def _or(further: Counts | None, counts: Counts) -> Counts:
    return counts if further is None else further


def _needed(counts: Counts, theirs: Floats, target: Floats | float) -> Floats:
    return np.asarray(np.minimum(labels_to_reach(counts, theirs, target), counts[-1]))


@dataclass(frozen=True, slots=True)
class Comparison:
    """One bundle against the base on the same draws.

    accuracy : at each stop; gap : ours - base at each stop; area, area_gap : over the whole curve.
    wins, ties, losses : stops at which the gap is shown to be above 0, cannot be told from 0, is below 0.
    to_target : labels of the mean curve to the target, inf if never; saved : share saved there; saved_at : at each
    stop, against what the base needs for the same accuracy.
    """

    accuracy: tuple[float, ...]
    gap: tuple[Interval, ...]
    area: float
    area_gap: Interval
    target: float
    to_target: float
    saved: Interval
    saved_at: tuple[Interval, ...]

    @property
    def wins(self) -> int:
        return sum(item.verdict == "better" for item in self.gap)

    @property
    def losses(self) -> int:
        return sum(item.verdict == "worse" for item in self.gap)

    @property
    def ties(self) -> int:
        return len(self.gap) - self.wins - self.losses


def compare(
    counts: Counts, ours: Floats, base: Floats, target: float | None = None, further: Counts | None = None
) -> Comparison:
    """Compare two bundles (s, r) on the same draws.

    further : counts of the base, which begin with `counts`, if it goes on; target None: where the base's mean is at
    the last of `counts`.

    Cost: 2 r + 2 bootstraps of 2,000 resamples, a millisecond each.
    """
    mean, shared = ours.mean(0), base[:, : len(counts)]
    goal = float(shared.mean(0)[-1]) if target is None else target
    return Comparison(
        accuracy=tuple(mean.tolist()),
        gap=tuple(paired(ours[:, stop], shared[:, stop]) for stop in range(len(counts))),
        area=float(area(counts, mean)),
        area_gap=paired(area(counts, ours), area(counts, shared)),
        target=goal,
        to_target=float(labels_to_reach(counts, mean, goal)),
        saved=saved_at_target(counts, ours, base, target, further),
        saved_at=tuple(saved_at(counts, ours, base, stop, further) for stop in range(len(counts))),
    )

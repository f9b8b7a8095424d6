"""The share right in a finite population, from a random sample that one may look at after every draw.

Waudby-Smith & Ramdas, "Confidence sequences for sampling without replacement", NeurIPS 2020: the prior-posterior ratio.
K of N are right. With K uniform on 0..N at first, after t draws without replacement, s of them right, the posterior is
C(K, s) C(N-K, t-s) / C(N+1, t+1). The K whose posterior is above alpha / (N+1) hold the truth at all t at once with
probability 1 - alpha, for the ratio at the true K is a martingale (Ville). They are an interval: the posterior has one
peak, at floor(s (N+1) / t).
"""

from __future__ import annotations

from collections.abc import Callable
from math import lgamma, log

from selection.contract import BadParameter

EVEN = 50
"""Models over which alpha is spent almost evenly."""
ROUNDING = 1e-7
"""More than the logarithms are off by at a million: a K on the border is kept, which only makes the interval wider."""


def interval(right: int, seen: int, population: int, alpha: float) -> tuple[float, float]:
    """The lowest and highest share right of `population`, `right` of `seen` being so; (0, 1) when nothing was seen.

    seen : draws, uniform and without replacement. Holds at all looks at once with probability 1 - alpha, for one model
    that does not depend on the draw. Cost: 2 log2(population) evaluations, 60 to 100 microseconds.
    """
    if not 0 <= right <= seen <= population or not 0 < alpha < 1:
        raise BadParameter(
            f"right <= seen <= population and 0 < alpha < 1 are needed, got {right}, {seen}, {population}, {alpha}"
        )
    if seen == 0:
        return 0.0, 1.0
    wrong = seen - right
    least = log(alpha) - log(population + 1) + _log_choose(population + 1, seen + 1) - ROUNDING

    def kept(count: int) -> bool:
        return _log_choose(count, right) + _log_choose(population - count, wrong) > least

    peak = min(right * (population + 1) // seen, population - wrong)
    low = _last(lambda step: kept(peak - step), peak - right)
    high = _last(lambda step: kept(peak + step), population - wrong - peak)
    return (peak - low) / population, (peak + high) / population


def share(alpha: float, number: int) -> float:
    """What of alpha the interval of the `number`-th model (1, 2, ...) may spend: alpha 50 / ((number+49) (number+50)).

    These sum to alpha over as many models as ever come (alpha 50 / 50 - alpha 50 / 51 + alpha 50 / 51 - ...), so that
    all their intervals hold together. The first fifty get about as much as the fiftieth: while few were drawn, no share
    would make an interval narrow, and 6 alpha / (pi number)^2 leaves the two-hundredth an interval 14% wider.
    """
    if number < 1:
        raise BadParameter(f"models are counted from 1, got {number}")
    return alpha * EVEN / ((number + EVEN - 1) * (number + EVEN))


def _last(kept: Callable[[int], bool], most: int) -> int:
    """The greatest step in 0..most that is kept; 0 is, and from the first that is not none is."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if kept(middle):
            low = middle
        else:
            high = middle - 1
    return low


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)

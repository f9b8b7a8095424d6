"""Taking turns among clusters: the order of clusters, and the round robin over their members."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from selection.contract import IntArray


def members_of(assigned: IntArray) -> list[IntArray]:
    """Rows of each non-empty cluster, ascending: (n,) -> list of (n_c,)."""
    order = np.argsort(assigned, kind="stable")
    cuts = np.flatnonzero(np.diff(assigned[order])) + 1
    return [part for part in np.split(order, cuts) if len(part)]


def turn_order(members: list[IntArray], covered: NDArray[np.bool_], smallest: int = 0) -> list[int]:
    """Clusters by (at most `smallest` rows, covered rows ascending, size descending, lowest row).

    covered : (n,) bool.
    """
    keys = [(len(m) <= smallest, int(covered[m].sum()), -len(m), int(m[0])) for m in members]
    return sorted(range(len(members)), key=keys.__getitem__)


def round_robin(
    turns: list[int], free: dict[int, int], budget: int, order_within: Callable[[int, int], IntArray]
) -> list[tuple[int, int]]:
    """`budget` pairs (cluster, row): in each round every cluster of `turns` that has rows left gives its next one.

    free : candidates in each cluster. order_within(cluster, count) : its first `count` rows, best first; called once
    for each cluster that gives any.
    """
    gives = dict.fromkeys(turns, 0)
    schedule: list[tuple[int, int]] = []
    depth = 0
    while len(schedule) < budget:
        turn = [c for c in turns if free[c] > depth][: budget - len(schedule)]
        if not turn:
            break
        for c in turn:
            schedule.append((c, depth))
            gives[c] += 1
        depth += 1
    queues = {c: order_within(c, count) for c, count in gives.items() if count}
    return [(c, int(queues[c][at])) for c, at in schedule]

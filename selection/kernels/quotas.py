"""Whole numbers that share out a budget."""

from __future__ import annotations

import numpy as np

from selection.contract import IntArray


def fit_quotas(wanted: IntArray, room: IntArray, sizes: IntArray, budget: int) -> IntArray:
    """Change `wanted` (c,) as little as needed: 0 <= quota <= room, sum = min(budget, room.sum())."""
    quota: IntArray = np.clip(wanted, 0, room)
    budget = min(budget, int(room.sum()))
    while quota.sum() > budget:
        quota[int(np.argmax(quota))] -= 1
    while quota.sum() < budget:  # D'Hondt among the classes that have room
        claim = np.where(quota < room, sizes / (quota + 1), -1.0)
        quota[int(np.argmax(claim))] += 1
    return quota

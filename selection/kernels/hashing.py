"""A fixed pseudo-random number for each row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from selection.contract import IntArray


def hash_rows(rows: IntArray, seed: np.uint64) -> NDArray[np.uint64]:
    """SplitMix64 of `seed` and each row: (m,) -> (m,)."""
    with np.errstate(over="ignore"):
        x = (rows.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) + seed
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed: NDArray[np.uint64] = x ^ (x >> np.uint64(31))
    return mixed

"""One step of a walk on a graph, compiled by Numba: sparse products of which only the largest entries are kept.

SciPy's sparse product takes four times as long: it looks up every column twice and sorts out the largest afterwards.
Numba's cache on disk stays off, as it is a pickle; a process compiles this once, in about two seconds.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

_LAST = 0x7FFFFFFF


@numba.njit(nogil=True)
def step_rows(  # noqa: C901  (one compiled loop)
    begin: int,
    end: int,
    indptr: NDArray[np.int64],
    columns: NDArray[np.int32],
    values: NDArray[np.float32],
    rows: NDArray[np.int32],
    mass: NDArray[np.float32],
    rest: np.float32,
    out_rows: NDArray[np.int32],
    out_bits: NDArray[np.int32],
) -> None:
    """Rows begin..end of S K + rest I, the largest entries of each, into `out_rows` and `out_bits` (n, keep).

    S : (n, n) as CSR without negative values. K : `rows` and `mass` (n, m). Masses leave as the bits of float32, which
    are ordered as the masses are. Of equal entries those at the lowest rows stay; a row with fewer is filled up with
    mass 0 at itself. Cost: one look at each of the (edges of a row) m entries, and little for each that differs.
    """
    n, m = rows.shape
    keep = out_rows.shape[1]
    widest = 0
    for i in range(begin, end):
        widest = max(widest, indptr[i + 1] - indptr[i])
    sums = np.zeros(n, np.float32)
    met = np.empty(widest * m + 2, np.int32)  # columns of this row as they are met; one place more than there can be
    found = np.empty(widest * m + 2, np.float32)
    bits = found.view(np.int32)
    keys = np.empty(widest * m + 2, np.int64)
    for i in range(begin, end):
        count = 0
        for edge in range(indptr[i], indptr[i + 1]):
            j = columns[edge]
            share = values[edge]
            for t in range(m):
                k = rows[j, t]
                before = sums[k]
                met[count] = k
                count += before == 0  # no branch: it would be mispredicted at every second entry
                sums[k] = before + share * mass[j, t]
        before = sums[i]
        met[count] = i
        count += before == 0
        sums[i] = before + rest
        # Masses grow from step to step, so those below the least that was kept before can be left out, as a rule.
        least = mass[i, m - 1]
        for t in range(1, m):
            least = min(least, mass[i, t])
        size = 0
        for t in range(count):
            k = met[t]
            mine = sums[k]
            sums[k] = 0
            found[t] = mine
            keys[size] = (np.int64(bits[t]) << 32) | (_LAST - k)
            size += mine >= least and mine > 0
        if size < keep:
            size = 0
            for t in range(count):
                keys[size] = (np.int64(bits[t]) << 32) | (_LAST - met[t])
                size += found[t] > 0  # a column met with nothing at first is met twice, with nothing the second time
        if size > keep:
            _largest_first(keys, size, keep)
            size = keep
        for t in range(size):
            out_rows[i, t] = _LAST - (keys[t] & _LAST)
            out_bits[i, t] = keys[t] >> 32
        for t in range(size, keep):
            out_rows[i, t] = i
            out_bits[i, t] = 0


@numba.njit(nogil=True)
def _largest_first(keys: NDArray[np.int64], size: int, keep: int) -> None:
    """Move the `keep` largest of keys[:size] to the front, in no order (Hoare's quickselect; no two keys are equal)."""
    low, high = 0, size - 1
    while low < high:
        pivot = keys[(low + high) >> 1]
        left, right = low, high
        while left <= right:
            while keys[left] > pivot:
                left += 1
            while keys[right] < pivot:
                right -= 1
            if left <= right:
                keys[left], keys[right] = keys[right], keys[left]
                left += 1
                right -= 1
        if keep - 1 <= right:
            high = right
        elif keep - 1 >= left:
            low = left
        else:
            return

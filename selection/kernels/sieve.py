"""Which products of rows may reach a bar: bfloat16 products, looked at by the maxima of groups of columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from selection.contract import IntArray

if TYPE_CHECKING:
    import torch

    from selection.kernels.top import Halves

Bits = NDArray[np.int16]

GROUP = 32  # columns that share one maximum
_STORED = 2.0**-8  # a product stored as bfloat16 moves by at most this share of itself


def rounding(left: Halves, right: Halves) -> NDArray[np.float32]:
    """How far a product of each row of `left` with any of `right` may move before it is stored: (m,).

    |x.y - x'.y'| <= |x - x'| |y'| + |x| |y - y'| by Cauchy-Schwarz, plus the rounding of the sums.
    """
    reach = float((right.length + right.lost).max())
    sums = (left.rows.shape[1] + 16) * 2.0**-22 * reach
    moved = left.lost * (reach + sums) + left.length * (float(right.lost.max()) + sums)
    return np.asarray(moved.numpy(), np.float32)


def room(rows: int, columns: int) -> torch.Tensor:
    """Memory for `products` of so many rows and columns: one who asks again and again keeps it."""
    import torch

    return torch.empty((rows, -(-columns // GROUP) * GROUP), dtype=torch.bfloat16)


def products(left: Halves, right: Halves, tile: torch.Tensor | None = None) -> tuple[Bits, Bits]:
    """(m, p), (n, p) -> the products (m, groups * 32) and the maxima of their groups (m, groups), as bits.

    A bfloat16 above 0 is ordered as its 16 bits are ordered as an integer, and maxima of integers are five times
    faster. Products below 0 are integers below 0, but in no order: only bars above 0 can be asked for. Group g holds
    the columns g, g + groups, g + 2 groups ...; columns beyond n are below every bar.
    tile : of `room`, for m rows or more and just as many columns; the answer lies in it.
    """
    import torch

    m, n = len(left.rows), len(right.rows)
    tile = room(m, n) if tile is None else tile[:m]
    torch.mm(left.rows, right.rows.T, out=tile[:, :n])
    tile[:, n:] = -1.0
    bits = tile.view(torch.int16)
    return bits.numpy(), bits.view(m, GROUP, -1).amax(1).numpy()


def bar_of(least: NDArray[np.floating], moved: NDArray[np.float32]) -> Bits:
    """Bits that a stored product reaches wherever the true one is at least `least`: (m,); 1 if there is no such bar.

    moved : of `rounding`. Bits of 1 stand for a number just above 0; ask `provable` whether that is a bar.
    """
    bar = ((least - moved) * (1 - _STORED)).astype(np.float32)
    return np.asarray((np.maximum(bar, 1e-30).view(np.int32) >> 16).astype(np.int16))


def provable(least: NDArray[np.floating], moved: NDArray[np.float32]) -> bool:
    """Whether all bars lie above 0, so that no product that may reach its bar is below 0."""
    return bool((least - moved > 1e-6).all())


def least_of(stored: Bits, moved: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the true product is at least, of stored ones above 0: (m,)."""
    value = (stored.astype(np.int32) << 16).view(np.float32)
    return np.asarray(value / np.float32(1 + _STORED) - moved)


def reaching(bits: Bits, maxima: Bits, bar: Bits) -> tuple[IntArray, IntArray]:
    """(row, column) of the products at or above the bar of their row (m,), rows ascending."""
    m, groups = maxima.shape
    row, group = np.divmod(np.flatnonzero(maxima >= bar[:, None]), groups)
    inside = bits.reshape(m, GROUP, groups)[row, :, group]  # (hits, 32)
    hit, member = np.divmod(np.flatnonzero(inside >= bar[row, None]), GROUP)
    return row[hit], member * groups + group[hit]

"""Exact nearest unit rows by cosine: tiles of products, of which only the largest are looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from selection.contract import IntArray
from selection.kernels import sieve
from selection.kernels.blocks import blocks, tensor
from selection.kernels.top import Halves, halve_blocks, shortlists

if TYPE_CHECKING:
    import torch

Float32 = NDArray[np.float32]

_GROUP = 32  # columns that share one maximum in the first pass of the top-k
_QUERIES, _COLUMNS = 256, 1 << 16  # one tile of similarities
_MANY = 128  # candidates a query beyond which the float32 products are cheaper
_PAIRS = 2048  # pairs multiplied at once


def nearest_by_cosine(
    queries: Float32, unit: Float32, k: int, *, skip_self: bool = False, device: str = "cpu"
) -> tuple[NDArray[np.int32], Float32]:
    """Exact k nearest unit rows of each query: (m, k) rows and (m, k) cosines, nearest first; needs k <= n.

    `skip_self`: query i is row i and is not its own neighbour (by row, not by place: copies stay neighbours); needs
    k < n. The top k are sought only inside the k groups of 32 columns with the largest maxima, which must hold them.
    Where the CPU multiplies bfloat16, that sieves the pairs (`kernels.sieve`) and float32 decides among those that
    rounding leaves; there equal cosines go to the lowest row. Cost 2 m n p flops, memory of one tile.
    """
    rows, cosines = np.empty((len(queries), k), np.int32), np.empty((len(queries), k), np.float32)
    if k == 0:
        return rows, cosines
    bank = tensor(unit, device)
    asked = bank if queries is unit else tensor(queries, device)
    halves = None
    if shortlists(device, bank.dtype, bank.shape[1], len(bank)) and len(queries) >= _QUERIES:
        right = halve_blocks(bank)
        halves = right if queries is unit else halve_blocks(asked), right
        tile = sieve.room(_QUERIES, len(bank))
    for some in blocks(len(queries), _QUERIES):
        own = np.arange(some.start, some.stop) if skip_self else None
        found = None
        if halves is not None:
            found = _sieved(asked[some], bank, (halves[0].part(some), halves[1]), tile, k, own)
        rows[some], cosines[some] = found or _plain(asked[some], bank, k, own)
    return rows, np.clip(cosines, -1, 1)


def _sieved(
    x: torch.Tensor,
    bank: torch.Tensor,
    halves: tuple[Halves, Halves],
    tile: torch.Tensor,
    k: int,
    own: IntArray | None,
) -> tuple[NDArray[np.int32], Float32] | None:
    """Rows and cosines (m, k), or None where rounding leaves too many pairs."""
    import torch

    moved = sieve.rounding(*halves)
    bits, maxima = sieve.products(*halves, tile)
    if own is not None:
        place = np.arange(len(own))
        bits[place, own] = -1
        group = own % maxima.shape[1]
        maxima[place, group] = bits.reshape(len(x), sieve.GROUP, -1)[place, :, group].max(1)
    if maxima.shape[1] < 2 * k:
        return None
    kth = np.partition(maxima, maxima.shape[1] - k, axis=1)[:, -k]
    least = sieve.least_of(kth, moved)
    if not sieve.provable(least, moved):
        return None
    row, column = sieve.reaching(bits, maxima, sieve.bar_of(least, moved))
    if len(row) > _MANY * len(x):
        return None
    cosine = np.empty(len(row), np.float32)
    a, b = torch.from_numpy(row), torch.from_numpy(column)
    for part in blocks(len(row), _PAIRS):
        cosine[part] = torch.einsum("md,md->m", x[a[part]], bank[b[part]]).numpy()
    order = np.lexsort((column, -cosine, row))
    counts = np.bincount(row, minlength=len(x))
    first = order[(np.cumsum(counts) - counts)[:, None] + np.arange(k)]
    return column[first].astype(np.int32), cosine[first]


def _plain(x: torch.Tensor, bank: torch.Tensor, k: int, own: IntArray | None) -> tuple[NDArray[np.int32], Float32]:
    """Rows and cosines (m, k) by float32 products alone."""
    import torch

    n = len(bank)
    width = min(_COLUMNS, -(-n // _GROUP) * _GROUP)
    tile = torch.empty((len(x), width), device=x.device)
    best = torch.empty((len(x), 0), device=x.device)
    at = torch.empty((len(x), 0), dtype=torch.int64, device=x.device)
    for wide in blocks(n, width):
        tile[:, wide.stop - wide.start :] = -2.0  # the padding stays below every cosine
        for block in blocks(wide.stop - wide.start, 8192):  # small products stay in the cache
            tile[:, block] = x @ bank[wide.start + block.start : wide.start + block.stop].T
        if own is not None:
            here = np.flatnonzero((own >= wide.start) & (own < wide.stop))
            places = torch.from_numpy(here).to(x.device), torch.from_numpy(own[here] - wide.start).to(x.device)
            tile[places] = -2.0
        values, columns = _top(tile, min(k, width))
        best, at = torch.cat([best, values], 1), torch.cat([at, columns + wide.start], 1)
    best, order = best.topk(k, dim=1)
    return at.gather(1, order).int().cpu().numpy(), best.cpu().numpy()


def _top(sims: Any, k: int) -> tuple[Any, Any]:
    """Largest k of each row of (m, groups * 32): by group maxima first, then inside the winning groups."""
    import torch

    m, width = sims.shape
    groups = width // _GROUP
    if groups <= 2 * k:
        return tuple(sims.topk(k, dim=1))
    # Group g holds the columns g, g + groups, g + 2 groups ...: the maximum then runs along memory.
    best = sims.view(m, _GROUP, groups).amax(1).topk(k, dim=1).indices  # (m, groups) -> (m, k)
    members = torch.arange(_GROUP, device=sims.device)[:, None] * groups
    columns = (best[:, None, :] + members).view(m, _GROUP * k)
    values, place = sims.gather(1, columns).topk(k, dim=1)
    return values, columns.gather(1, place)

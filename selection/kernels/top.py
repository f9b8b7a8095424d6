"""The best of many centers for each row: bfloat16 products name the candidates, float32 products decide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from selection.kernels.blocks import blocks

if TYPE_CHECKING:
    import torch

_PAIRS = 256  # pairs of a row and a center multiplied at once: they stay in the cache
_MANY = 6  # candidates a row beyond which one float32 product is cheaper
_LEAST = 64  # centers and dimensions under which there is nothing to gain


@dataclass(frozen=True, slots=True)
class Halves:
    """Rows rounded to bfloat16 (m, d), the length that rounding took from each (m,), and their own length (m,)."""

    rows: torch.Tensor
    lost: torch.Tensor
    length: torch.Tensor

    def part(self, part: slice) -> Halves:
        """Those of a slice of rows."""
        return Halves(self.rows[part], self.lost[part], self.length[part])


def shortlists(device: str, dtype: torch.dtype, d: int, k: int) -> bool:
    """Whether bfloat16 candidates pay: float32 rows on a CPU that multiplies bfloat16 itself, sizes large enough."""
    import torch

    if str(device) != "cpu" or dtype != torch.float32 or min(d, k) < _LEAST:
        return False
    return any(getattr(torch.cpu, name, bool)() for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))


def halve(x: torch.Tensor) -> Halves:
    """Round (m, d) float32 rows, and measure what that takes from each."""
    import torch

    rows = x.to(torch.bfloat16)
    return Halves(rows, (x - rows).norm(dim=1), x.norm(dim=1))


def halve_blocks(x: torch.Tensor) -> Halves:
    """As `halve` for many rows, without a second float32 copy."""
    import torch

    out = Halves(torch.empty(x.shape, dtype=torch.bfloat16), torch.empty(len(x)), torch.empty(len(x)))
    for part in blocks(len(x), 4096):
        some = halve(x[part])
        out.rows[part], out.lost[part], out.length[part] = some.rows, some.lost, some.length
    return out


def best_center(
    x: torch.Tensor, centers: torch.Tensor, bias: torch.Tensor | None, halves: tuple[Halves, Halves] | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """max_j x_i.c_j + bias_j and the lowest j that reaches it: (m,), (m,); x (m, d), centers (k, d), bias (k,).

    halves : of x and of centers, or None for one float32 product (2 m k d flops). With them that product is made in
    bfloat16, and a center stays a candidate unless it is beaten by more than rounding can hide: by Cauchy-Schwarz
    |x.c - x'.c'| <= |x - x'| |c'| + |x| |c - c'|, plus the rounding of sums and of the stored product. Candidates,
    one or two a row as a rule, are multiplied in float32; where there are many all centers are.
    """
    import torch

    if halves is None:
        return _plain(x, centers, bias)
    left, right = halves
    scores = (left.rows @ right.rows.T).float()  # (m, d), (k, d) -> (m, k)
    high = scores.amax(1)
    reach = float((right.length + right.lost).max())
    sums = (x.shape[1] + 16) * 2.0**-22 * (left.length + left.lost) * reach
    error = left.lost * reach + left.length * right.lost.max() + sums  # (m,)
    stored = torch.maximum(scores.amin(1).neg(), high) * 2.0**-7  # of two products, 2^-8 each
    if bias is not None:
        scores += bias
        high = scores.amax(1)
    bar = high - 2.0 * error - stored
    flat = torch.from_numpy((scores >= bar[:, None]).numpy().reshape(-1).nonzero()[0])
    if len(flat) > _MANY * len(x):
        return _plain(x, centers, bias)
    row, center = flat // len(centers), flat % len(centers)
    return _decide(x, centers, bias, row, center)


def _plain(x: torch.Tensor, centers: torch.Tensor, bias: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    scores = x @ centers.T if bias is None else torch.addmm(bias.unsqueeze(0), x, centers.T)
    best, at = scores.max(dim=1)
    return best, at


def _decide(
    x: torch.Tensor, centers: torch.Tensor, bias: torch.Tensor | None, row: torch.Tensor, center: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The best pair of each row among (row, center) pairs in float32; every row has at least one pair."""
    import torch

    value = torch.empty(len(row))
    for start in range(0, len(row), _PAIRS):
        some = slice(start, start + _PAIRS)
        value[some] = x.index_select(0, row[some]).mul_(centers.index_select(0, center[some])).sum(1)
    if bias is not None:
        value += bias[center]
    best = torch.full((len(x),), -torch.inf).scatter_reduce_(0, row, value, "amax")
    won = value == best[row]
    at = torch.full((len(x),), len(centers)).scatter_reduce_(0, row[won], center[won], "amin")
    return best, at

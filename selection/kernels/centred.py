"""Distances of a whole pool to its nearest of a few of its rows, in few and cheap passes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from selection.contract import FloatArray, IntArray
from selection.kernels.blocks import block_rows, blocks, tensor
from selection.kernels.distances import mean_row
from selection.kernels.top import Halves, best_center, halve, shortlists

if TYPE_CHECKING:
    import torch

HELD_BYTES = 256 << 20
"""Rounded rows are kept between passes up to this size; beyond it they are rounded anew in each."""


class CentredRows:
    """Rows (n, d) less their mean: shorter rows leave rounding less to hide. No copy but the rounded one is kept.

    squared : (n,) their squared lengths.
    """

    def __init__(self, features: FloatArray, *, device: str) -> None:
        import torch

        self.features, self.device = features, device
        self.mean = torch.from_numpy(mean_row(features, device=device)).to(device, torch.float32)
        self._held: dict[int, Halves] = {}  # by first row of a block
        self.squared = np.empty(len(features), np.float32)
        for part in self._parts():
            x = self._rows(part)
            self.squared[part] = (x * x).sum(1).cpu().numpy()

    def lower(self, near: NDArray[np.float32], rows: IntArray) -> None:
        """near (n,) becomes min(near, squared distance of each row to its nearest of the rows `rows`).

        The products that decide are float32 ones: 2 n k d flops, in bfloat16 where a shortlist by these pays.
        """
        centers = self._rows(rows)
        bias = -0.5 * (centers * centers).sum(1)
        short = halve(centers) if shortlists(self.device, centers.dtype, centers.shape[1], len(rows)) else None
        for part in self._parts():
            x = self._rows(part)
            best, _ = best_center(x, centers, bias, None if short is None else (self._halves(x, part), short))
            d2 = np.maximum(self.squared[part] - 2.0 * best.cpu().numpy(), 0.0)
            np.minimum(near[part], d2, out=near[part])

    def _parts(self) -> Iterator[slice]:
        return blocks(len(self.features), block_rows(8 * self.features.shape[1]))

    def _rows(self, some: slice | IntArray) -> torch.Tensor:
        return tensor(self.features[some], self.device) - self.mean

    def _halves(self, x: torch.Tensor, part: slice) -> Halves:
        if part.start in self._held:
            return self._held[part.start]
        halves = halve(x)
        if 2 * self.features.size <= HELD_BYTES:
            self._held[part.start] = halves
        return halves

"""Cut arrays into blocks of rows and hand each to torch as float32, without ever converting the whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

BLOCK_BYTES = 16 << 20
"""Size of one working block; answers do not depend on it (a common check changes it).

Below 32 MiB glibc's malloc reuses freed memory; above it every temporary is mapped and page-faulted anew, which was
measured to cost as much time as the arithmetic.
"""


@contextmanager
def block_bytes(size: int) -> Iterator[None]:
    """Work in blocks of `size` bytes inside the `with`: for checks and for machines with little memory."""
    global BLOCK_BYTES
    before, BLOCK_BYTES = BLOCK_BYTES, size
    try:
        yield
    finally:
        BLOCK_BYTES = before


def block_rows(row_bytes: int, size: int | None = None) -> int:
    """Rows that fit into one block when each takes `row_bytes`; at least 1."""
    return max(1, (BLOCK_BYTES if size is None else size) // max(1, row_bytes))


def blocks(n: int, rows: int) -> Iterator[slice]:
    """Slices of at most `rows` rows that cover range(n), the shorter tail included."""
    for start in range(0, n, rows):
        yield slice(start, min(start + rows, n))


class _Writable:
    """Shows an array's memory as writable, as torch warns of read-only arrays; nothing here writes to it."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.kept = array
        shown = dict(array.__array_interface__)
        shown["data"] = (shown["data"][0], False)
        self.__array_interface__ = shown


def tensor(part: NDArray[Any], device: str = "cpu") -> torch.Tensor:
    """`part` as a float32 tensor on `device`; shares memory where it can, so do not write into it."""
    import torch

    if part.dtype not in (np.float16, np.float32):
        with np.errstate(over="ignore"):  # a value beyond float32 becomes infinite, which cleaning finds
            part = part.astype(np.float32)
    if not part.flags.c_contiguous:
        part = np.ascontiguousarray(part)
    if part.size == 0:
        return torch.zeros(part.shape, dtype=torch.float32, device=device)
    if not part.flags.writeable:
        part = np.asarray(_Writable(part))
    return torch.from_numpy(np.asarray(part)).to(device).float()

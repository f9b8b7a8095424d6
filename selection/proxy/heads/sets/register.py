"""The heads for sets by name, what one is trained on and what it answers; `selection.proxy.learn_sets` reads them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from selection.contract import BoolArray, FloatArray, IntArray
from selection.kernels.graph import SparseGraph
from selection.proxy.heads.names import Register

if TYPE_CHECKING:
    from selection.proxy.heads.sets.linear import SetFit


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """What a head for sets is trained on.

    features : (n, d) of the whole pool; rows (m,) : its labeled rows, without copies; present (m, c) bool : their
    classes. fit : the linear head on these rows, whose folds all heads share.
    """

    features: FloatArray
    rows: IntArray
    present: BoolArray
    fit: SetFit
    graph: SparseGraph | None
    seed: int
    device: str

    @property
    def pool_graph(self) -> SparseGraph:
        """The graph; `learn_sets` refuses a head with `needs_graph` where there is none."""
        assert self.graph is not None
        return self.graph


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One head's answer in logits of presence, before calibration: (n, c) float32 of the pool, (m, c) float64 of rows
    that were held out, NaN where the fold's training rows did not show the class both ways."""

    logits: NDArray[np.float32]
    out_of_fold: NDArray[np.float64]


_register: Register[Callable[[Training], View]] = Register("selection.proxy.heads.sets", "head for sets")
head, names, entry = _register.head, _register.names, _register.entry

"""The heads by name: what one is trained on, what it answers, and the register that `selection.proxy.learn` reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from selection.contract import FloatArray, IntArray
from selection.kernels.graph import SparseGraph
from selection.proxy.heads.names import Register

if TYPE_CHECKING:
    from selection.proxy.heads.linear import HeadFit


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """What a head is trained on.

    features : (n, d) of the whole pool; rows (m,) : its labeled rows, without copies; labels (m,) : their classes.
    fit : the linear head on these rows, whose folds all heads share; mean, scale (d,) : `moments(features)`.
    """

    features: FloatArray
    rows: IntArray
    labels: IntArray
    n_classes: int
    fit: HeadFit
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    graph: SparseGraph | None
    seed: int
    device: str

    @property
    def pool_graph(self) -> SparseGraph:
        """The graph; `learn` refuses a head with `needs_graph` where there is none."""
        assert self.graph is not None
        return self.graph


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One head's answer: (n, c) of the pool, (m, c) log probabilities of held-out labels (NaN: not held out)."""

    probs: NDArray[np.float32]
    out_of_fold: NDArray[np.float64]
    temperature: float = 1.0
    unreached: int = 0


_register: Register[Callable[[Training], View]] = Register("selection.proxy.heads", "head")
head, names, entry = _register.head, _register.names, _register.entry
"""`auto` pools those that blend.PRIOR_WEIGHTS names."""

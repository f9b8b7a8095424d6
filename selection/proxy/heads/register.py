"""The heads by name: what one is trained on, what it answers, and the register that `selection.proxy.learn` reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from selection.contract import BadParameter, FloatArray, IntArray
from selection.kernels.graph import SparseGraph

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


@dataclass(frozen=True, slots=True)
class Entry:
    """One registered head. `auto` pools those that blend.PRIOR_WEIGHTS names."""

    name: str
    fit: Callable[[Training], View]
    needs_graph: bool


_entries: dict[str, Entry] = {}


def head(name: str, *, needs_graph: bool = False) -> Callable[[Callable[[Training], View]], Callable[[Training], View]]:
    """Function decorator: the head is known by `name` from now on."""

    def keep(fit: Callable[[Training], View]) -> Callable[[Training], View]:
        _entries[name] = Entry(name, fit, needs_graph)
        return fit

    return keep


def names() -> list[str]:
    """All registered heads, sorted."""
    import selection.proxy.heads  # noqa: F401  (registers them)

    return sorted(_entries)


def entry(name: str) -> Entry:
    """Raises `BadParameter` with the known names."""
    known = names()
    if name not in _entries:
        raise BadParameter(f"no head of kind {name!r}; known: {', '.join([*known, 'auto'])}")
    return _entries[name]

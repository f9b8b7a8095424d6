"""BADGE: a spread-out draw of images whose guessed label would change the head most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from selection import parameters
from selection.contract import FloatArray, IntArray, Notes, Pool, Ranking
from selection.kernels.blocks import block_rows, blocks, tensor
from selection.kernels.clean import require_finite, require_probs
from selection.registry import FORMS, register
from selection.uncertain import torn, torn_between_sets

if TYPE_CHECKING:
    import torch

_CLOSE = 1e-4  # a float32 distance under this share of both lengths is computed again in float64
_SAME = 1e-12  # a float64 distance under this share is that of a copy


@register("badge", needs={"probs"}, tags={"uncertainty", "prefix", "conditions"}, forms=FORMS)
@dataclass(frozen=True)
class Badge:
    """Images whose guessed label would move the head far, and each in another direction (gradient embeddings).

    Ash et al., "Deep batch active learning by diverse, uncertain gradient lower bounds", ICLR 2020: g = (p - e) x h
    with p the probabilities, e one-hot of the likeliest class and h the features, which stand for the last hidden
    layer; the longest g first, then each next row is drawn with probability proportional to its squared distance to
    the nearest g picked. g is never formed: |g_i - g_j|^2 = |q_i|^2 |h_i|^2 + |q_j|^2 |h_j|^2 - 2 (q_i.q_j)(h_i.h_j).
    Where we differ: labeled and skipped rows count as picked from the start, a copy of a picked row has probability 0,
    and where all distances are 0 the draw is uniform. With sets of classes q = p - [p >= 1/2] takes the place of p - e:
    the gradient of the summed binary cross-entropies at their likeliest answer. One number of `rng` for each draw, so a
    smaller budget gives a prefix. Cost n (d + c) multiply-adds a pick, one pass over float32 features (converted once
    if they are not).

    device : torch device.
    """

    device: str = "cpu"

    def __post_init__(self) -> None:
        parameters.device(self.device)

    def select(self, pool: Pool, budget: int, rng: np.random.Generator) -> Ranking:
        """Scores are distances to the nearest gradient picked before; of a first pick, its own length."""
        require_finite(pool)
        probs = require_probs(pool, type(self).__name__)
        budget = min(budget, len(pool.candidates))
        rows, scores = np.empty(budget, np.int64), np.empty(budget)
        free = pool.free
        if budget:
            gradients = _Gradients(pool.features, _residuals(probs, pool.form), self.device)
            near = gradients.nearest_to(pool.covered)
        for at in range(budget):
            rows[at] = _draw(near, free, rng) if np.isfinite(near).any() else gradients.longest(free)
            first = np.isinf(near[rows[at]])
            scores[at] = np.sqrt(gradients.squared[rows[at]] if first else near[rows[at]])
            free[rows[at]] = False
            if at + 1 < budget:
                np.minimum(near, gradients.distances(int(rows[at])), out=near)

        words = torn if pool.form == "one" else torn_between_sets

        def say(at: int) -> str:
            return f"{words(probs[rows[at]].astype(np.float64))}, and unlike the images queued before it"

        return Ranking(rows, scores, Notes(budget, say))


def _residuals(probs: FloatArray, form: str) -> NDArray[np.float64]:
    """q (n, c): probabilities less the answer that they make likeliest."""
    q: NDArray[np.float64] = np.array(probs, np.float64)
    if form == "set":
        q -= q >= 0.5
    else:
        q[np.arange(len(q)), q.argmax(1)] -= 1.0
    return q


def _draw(near: NDArray[np.float64], free: NDArray[np.bool_], rng: np.random.Generator) -> int:
    """A free row with probability proportional to `near`; uniform if all are 0. One uniform number a call."""
    weights = np.where(free, near, 0.0)
    total = np.cumsum(weights)
    if not total[-1] > 0:
        total = np.cumsum(free.astype(np.float64))
    return int(np.searchsorted(total, rng.random() * total[-1], side="right"))


class _Gradients:
    """Squared distances between pseudo-gradients, from q (n, c) and h (n, d) alone."""

    def __init__(self, features: FloatArray, q: NDArray[np.float64], device: str) -> None:
        self.features, self.device, self.q = features, device, q
        self.h: torch.Tensor = tensor(features, device)
        lengths = np.empty(len(q))
        for part in blocks(len(q), block_rows(8 * features.shape[1])):
            h = features[part].astype(np.float64)
            lengths[part] = np.einsum("nd,nd->n", h, h)
        self.squared = np.einsum("nc,nc->n", q, q) * lengths  # (n,) |g|^2

    def longest(self, free: NDArray[np.bool_]) -> int:
        """The free row of the longest gradient, the lowest of equals."""
        return int(np.where(free, self.squared, -1.0).argmax())

    def nearest_to(self, rows: IntArray) -> NDArray[np.float64]:
        """Squared distance of each gradient to the nearest of `rows`, inf without any: (n,)."""
        near: NDArray[np.float64] = np.full(len(self.q), np.inf)
        for some in blocks(len(rows), 1024):
            chosen = rows[some]
            for part in blocks(len(near), 8192):
                dots = (self.h[part] @ self.h[chosen].T).cpu().numpy()  # (m, k)
                crossed = self.squared[part, None] + self.squared[chosen] - 2 * (self.q[part] @ self.q[chosen].T) * dots
                near[part] = np.minimum(near[part], np.maximum(crossed.min(1), 0.0))
        near[rows] = 0.0
        return near

    def distances(self, row: int) -> NDArray[np.float64]:
        """Squared distance of each gradient to that of `row`: one pass over h; the close ones again in float64."""
        dots = (self.h @ self.h[row]).cpu().numpy()
        both = self.squared + self.squared[row]
        crossed: NDArray[np.float64] = both - 2 * (self.q @ self.q[row]) * dots
        close = np.flatnonzero(crossed <= _CLOSE * both)
        exact: NDArray[Any] = self.features[close].astype(np.float64) @ self.features[row].astype(np.float64)
        again = both[close] - 2 * (self.q[close] @ self.q[row]) * exact
        crossed[close] = np.where(again <= _SAME * both[close], 0.0, again)
        return np.maximum(crossed, 0.0, out=crossed)

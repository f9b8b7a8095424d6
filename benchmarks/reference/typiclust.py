"""TypiClust with scikit-learn's k-means; neighbours of a whole cluster are searched anew for each pick."""

from __future__ import annotations

import numpy as np
from sklearn.cluster import KMeans, MiniBatchKMeans


def pick(unit: np.ndarray, budget: int, most: int = 500) -> list[int]:
    """Rows of highest typicality, a cluster a turn."""
    k = min(budget, most)
    make = KMeans(k, n_init=1, random_state=0) if k <= 50 else MiniBatchKMeans(k, batch_size=5000, random_state=0)
    own = make.fit_predict(unit)
    sizes = np.bincount(own, minlength=k)
    turns = [c for c in np.argsort(-sizes, kind="stable") if sizes[c] > 5]
    taken = np.zeros(len(unit), bool)
    rows: list[int] = []
    while len(rows) < budget:
        group = np.flatnonzero((own == turns[len(rows) % len(turns)]) & ~taken)
        if not len(group):
            turns = [c for c in turns if (~taken[own == c]).any()]
            continue
        x = unit[group]
        squared = np.maximum(2 - 2 * (x @ x.T), 0)
        near = min(20, len(group) // 2)
        density = 1 / (np.sort(squared, axis=1)[:, 1 : near + 1].mean(1) + 1e-5) if near else np.ones(len(group))
        rows.append(int(group[density.argmax()]))
        taken[rows[-1]] = True
    return rows

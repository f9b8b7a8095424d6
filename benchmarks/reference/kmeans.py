"""scikit-learn's k-means with k = budget, and the row nearest to each center."""

from __future__ import annotations

import numpy as np
from sklearn.cluster import KMeans


def pick(unit: np.ndarray, budget: int, iterations: int) -> list[int]:
    """One row a center, without repeats."""
    found = KMeans(budget, n_init=1, max_iter=iterations, random_state=0).fit(unit)
    taken: set[int] = set()
    for center in found.cluster_centers_:
        for row in np.argsort(-(unit @ center) + 0.5 * (center @ center)):
            if int(row) not in taken:
                taken.add(int(row))
                break
    return list(taken)

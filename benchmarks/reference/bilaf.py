"""BiLAF's denoising and boundary choice on full class matrices, made twice, a row at a time."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist


def _matrix(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray(cdist(a, b))  # differences in float64, pair by pair


def denoise(between: np.ndarray, core: int, inner: float, removed: float, k: int, *, slip: bool) -> list[int]:
    """Positions of a class that are kept; `slip` reads places in the cluster as positions, as the release does."""
    n = len(between)
    ring = max(1, int(inner * n))
    cluster = np.argsort(between[core], kind="stable")[:ring].tolist()
    while len(cluster) < n and (not slip or n - len(cluster) >= ring):
        inside = set(cluster)
        outside = [i for i in range(n) if i not in inside]
        density = []
        for i in outside:
            near = np.argsort(between[i][cluster])[:k]
            density.append(between[i][near].mean() if slip else between[i][np.asarray(cluster)[near]].mean())
        cluster += [outside[at] for at in np.argsort(density, kind="stable")[:ring]]
    return cluster[: int(len(cluster) * (1 - removed)) if slip else n - int(n * removed)]


def pick(x: np.ndarray, cores: np.ndarray, budget: int, *, slip: bool = True) -> list[int]:
    """All picks class by class, the core first."""
    x = x.astype(np.float64)
    to_cores = _matrix(x, x[cores])
    own = to_cores.argmin(1)
    groups = []
    for c, core in enumerate(cores):
        group = np.flatnonzero(own == c)
        at = int(np.flatnonzero(group == core)[0])
        kept = denoise(_matrix(x[group], x[group]), at, 0.1, 0.1, 10, slip=slip) if len(group) >= 10 else None
        groups.append(group if kept is None else np.sort(group[kept]))
    share = budget * np.array([len(g) for g in groups]) / sum(len(g) for g in groups)
    given = np.floor(share).astype(int)
    while given.sum() < budget:
        least = np.flatnonzero(given == given.min())
        given[least[np.argmax(share[least])]] += 1
    out: list[int] = []
    for c, group in enumerate(groups):
        if given[c]:
            out += _border(x, group, to_cores, c, int(cores[c]), int(given[c]))
    return out


def _border(x: np.ndarray, group: np.ndarray, to_cores: np.ndarray, c: int, core: int, count: int) -> list[int]:
    between = _matrix(x[group], x[group])
    inward = between.mean(1)
    others = to_cores[group].copy()
    others[:, c] = np.inf
    rival, outward = others.argmin(1), others.min(1)
    times = np.zeros(to_cores.shape[1])
    alive = list(range(len(group)))
    chosen = [int(np.flatnonzero(group == core)[0])] if core in group else []
    crowd = len(group) // count
    while len(chosen) < count and alive:
        if chosen:
            last = chosen[-1]
            gone = set(sorted(alive, key=lambda i: between[last, i])[:crowd])
            alive = [i for i in alive if i not in gone]
            if len(chosen) > 1:
                times[rival[last]] += 1
        if not alive:
            break
        score = [(outward[i] * 1.1 ** times[rival[i]] - inward[i]) / max(outward[i], inward[i]) for i in alive]
        chosen.append(alive[int(np.argmin(score))])
    return [int(group[i]) for i in chosen]

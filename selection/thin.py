"""A smaller pool for a selector whose cost grows faster than the pool."""

from __future__ import annotations

import numpy as np

from selection.contract import BadParameter, IntArray, Pool


def thin(pool: Pool, rows: int, rng: np.random.Generator, *, groups: int = 0) -> tuple[Pool, IntArray]:
    """Keep `rows` candidates beside all labeled and skipped rows: (that pool, the pool rows it holds, ascending).

    groups : 0 draws candidates evenly. More cuts the pool into as many k-means groups and draws from each in
    proportion to its candidates, at least one, so that small groups are sure to be there; needs groups <= rows.
    A pool of at most `rows` candidates comes back as it is. A selector's rows r in the thin pool are kept[r] in `pool`.

    Cost: one copy of what is kept; with groups also 2 n groups d flops. Raises `BadParameter` for rows under 1 or
    groups that are negative or above `rows`.
    """
    if rows < 1 or not 0 <= groups <= rows:
        raise BadParameter(f"rows must be at least 1 and groups 0 to rows, got rows={rows} and groups={groups}")
    candidates = pool.candidates
    if len(candidates) <= rows:
        return pool, np.arange(len(pool))
    drawn = _stratified(pool, rows, rng, groups) if groups else rng.choice(candidates, rows, replace=False)
    mask = ~pool.free
    mask[drawn] = True
    kept = np.flatnonzero(mask)
    return pool.take(kept), kept


def _stratified(pool: Pool, rows: int, rng: np.random.Generator, groups: int) -> IntArray:
    from selection.kernels.kmeans import kmeans
    from selection.kernels.quotas import fit_quotas

    candidates = pool.candidates
    own = kmeans(pool.features, groups, rng, iterations=0).assigned[candidates]
    sizes = np.bincount(own, minlength=groups)
    wanted = np.maximum((rows * sizes) // len(candidates), 1)
    quotas = fit_quotas(wanted, sizes, sizes, rows)
    order = np.argsort(own, kind="stable")
    members = np.split(candidates[order], np.cumsum(sizes)[:-1])
    return np.concatenate([rng.choice(m, q, replace=False) for m, q in zip(members, quotas, strict=True)])

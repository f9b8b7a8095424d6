"""The work of each method's own passes (GFLOP by type, GB read), and what must be known to read its row."""

from __future__ import annotations

from math import log

RATES = ("float32", "bfloat16", "float64", "read")
CLUSTERS = 500  # TypiClust's most
_SAMPLE = 20  # rows a cluster in k-means' first passes, of which there are four
_SEEDS = 8  # rows a cluster among which the first centers are drawn
_GRAPH, _KEEP, _STEPS = 128, 64, 8  # GraphCover's dims, entries a row and steps
_EDGES = 20  # about those of a row of its graph, each way counted once


def own_passes(name: str, n: int, d: int, k: int) -> dict[str, float] | None:
    """Type -> GFLOP of products, "read" -> GB of features; None where the case counts them itself or none is stated.

    Candidates that rounding leaves, roots, sums and sorts are not counted.
    """
    one = 2e-9 * n * k * d  # every row with every pick
    reading = 4e-9 * n * d
    apart = 4e-9 * k * k * d  # every centroid with every other, there and back
    return {
        "activeft": {"bfloat16": 300 * one, "float32": one + 300 * apart},
        "activeft-fast": {"bfloat16": 100 * 2e-9 * min(8192, n) * k * d, "float32": one + 100 * apart},
        "badge": {"read": k * reading},
        "coreset": {"float32": one},
        "graphcover": _covering(n, d, k),
        "kmeans": clustering(n, d, k, passes=4),
        "probcover": {"bfloat16": 1e-9 * n * n * d, "read": 3 * reading},
    }.get(name)


def clustering(n: int, d: int, k: int, *, passes: int) -> dict[str, float]:
    """Drawing of centers, which reads a sample again and again, four passes over a sample and some over all rows."""
    draws = 16 + log(max(k, 16) / 16) / log(9 / 8)  # one by one, then an eighth of those there at once
    product = 2e-9 * d * k  # a row with all centers
    return {
        "bfloat16": product * (passes * n + 4 * _SAMPLE * k),
        "float32": product * max(4096, _SEEDS * k),
        "read": 4e-9 * d * (n * (passes + 1) + draws * max(4096, _SEEDS * k)),
    }


def _covering(n: int, d: int, k: int) -> dict[str, float]:
    """GraphCover's samples that k picks need: scatter and projection, all pairs, each entry of a step of the walk."""
    from selection.strategies.graphcover.levels import level_sizes

    work = {"float32": 0.0, "bfloat16": 0.0, "read": 0.0}
    served = 0
    for m in level_sizes(n, _KEEP):
        if served >= k:
            break
        work["float32"] += 1e-9 * m * d * (d + 2 * _GRAPH)
        work["bfloat16"] += 2e-9 * m * m * _GRAPH
        work["read"] += 8e-9 * m * d + 8e-9 * m * _EDGES * _KEEP * (_STEPS - 2)  # the first two steps have few entries
        served = m // _KEEP
    return work


NOTES = {
    "activeft": "similarities in bfloat16, candidates decided in float32; picks compared after 6 steps from one start. "
    "Limit: 300 products of all rows with all centroids in bfloat16, two of the centroids with each other in float32 a "
    "step, one of all rows in float32 to hand them out.",
    "activeft-fast": "other picks than the exact form's; neither its loss nor a probe is worse, see below. Limit: as "
    "above with 100 steps of 8,192 rows.",
    "badge": "ratio by the slope of 12 picks of the published form, without its embedding. Limit: one reading a pick.",
    "coreset": "the published form here is one memory-bound pass (GEMV) a pick, by the slope of 200 picks. "
    "scikit-activeml's and Lightly's: see below. Limit: one full product in float32, "
    "of which ours needs a part only where the first picks settle most rows.",
    "graphcover": "ours; there is no published form. Limit: on each sample that it needs, scatter and projection "
    "in float32, all pairs in 128 dimensions in bfloat16, and every entry that the walk meets read once.",
    "bilaf": "after the cores, the same 50 for both; the published form with its slip mended. Limit: each pair of a "
    "territory once, and the distances to the cores in float64.",
    "typiclust": "other clusters, so other picks. Limit: the drawing of centers in float32, 4 assignments of a sample "
    "and 2 of all rows in bfloat16, the distances within each group in float32, three readings and the draws'.",
    "kmeans": "limit: the drawing of centers in float32, 4 assignments of a sample and 4 of all rows in bfloat16, five "
    "readings and the draws'.",
    "probcover": "limit: each pair once in bfloat16, in all dimensions, as leading directions settle too little here; "
    "three readings.",
}

"""The work of each method's own passes (GFLOP by type, GB read), and what must be known to read its row."""

from __future__ import annotations

RATES = ("float32", "bfloat16", "float64", "read")
_CLUSTERS = 500  # TypiClust's most
_SAMPLE = 20  # rows a cluster in k-means' first passes, of which there are four
_SEEDS = 8  # rows a cluster among which the first centers are drawn
_GRAPH = 128  # dims of GraphCover's graph


def own_passes(name: str, n: int, d: int, k: int) -> dict[str, float] | None:
    """Type -> GFLOP of products, "read" -> GB of features; None where the case counts them itself or none is stated.

    Candidates that rounding leaves, roots, sums, sorts and sparse products are not counted.
    """
    one = 2e-9 * n * k * d  # every row with every pick
    reading = 4e-9 * n * d
    return {
        "activeft": {"bfloat16": 300 * one, "float32": one},
        "activeft-fast": {"bfloat16": 100 * 2e-9 * min(8192, n) * k * d, "float32": one},
        "badge": {"read": k * reading},
        "coreset": {"float32": one},
        "graphcover": {"float32": 1e-9 * n * d * (d + 2 * _GRAPH), "bfloat16": 2e-9 * n * n * _GRAPH},
        "kmeans": _clustering(n, d, k, passes=4),
        "typiclust": _clustering(n, d, min(k, _CLUSTERS), passes=2),
        "probcover": {"bfloat16": 1e-9 * n * n * d, "read": 3 * reading},
    }.get(name)


def _clustering(n: int, d: int, k: int, *, passes: int) -> dict[str, float]:
    """Drawing of centers, four passes over a sample and some over all rows."""
    product = 2e-9 * d * k  # a row with all centers
    return {
        "bfloat16": product * (passes * n + 4 * _SAMPLE * k),
        "float32": product * max(4096, _SEEDS * k),
        "read": 4e-9 * n * d * (passes + 1),
    }


NOTES = {
    "activeft": "similarities in bfloat16, candidates decided in float32; picks compared after 6 steps from one start. "
    "Limit: 300 products of all rows with all centroids in bfloat16, one in float32 to hand out rows.",
    "activeft-fast": "other picks than the exact form's; neither its loss nor a probe is worse, see below.",
    "badge": "ratio by the slope of 12 picks of the published form, without its embedding. Limit: one reading a pick.",
    "coreset": "the published form here is one memory-bound pass (GEMV) a pick, by the slope of 200 picks. "
    "scikit-activeml's and Lightly's: see below. Limit: one full product in float32, "
    "of which ours needs a part only where the first picks settle most rows.",
    "graphcover": "ours; there is no published form. Limit: on the whole pool, its finest sample here, the scatter "
    "and the projection in float32 and all pairs in 128 dimensions in bfloat16; the walk on the graph is not in it.",
    "bilaf": "after the cores, the same 50 for both; the published form with its slip mended. Limit: each pair of a "
    "territory once, and the distances to the cores in float64.",
    "typiclust": "other clusters, so other picks. Limit: the drawing of centers in float32, 4 assignments of a sample "
    "and 2 of all rows in bfloat16, three readings.",
    "kmeans": "limit: the drawing of centers in float32, 4 assignments of a sample and 4 of all rows in bfloat16, five "
    "readings.",
    "probcover": "limit: each pair once in bfloat16, in all dimensions, as leading directions settle too little here; "
    "three readings.",
}

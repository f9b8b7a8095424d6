"""The least work of each method's own passes (GFLOP by type, GB read), and what must be known to read its row."""

from __future__ import annotations

RATES = ("float32", "bfloat16", "float64", "read")
_CORES = 50  # BiLAF's, in the comparison
_CLUSTERS = 500  # TypiClust's most
_LEAD = 64  # numbers a row of ProbCover's first look
_GRAPH = 128  # dims of GraphCover's graph


def least_work(name: str, n: int, d: int, k: int) -> dict[str, float] | None:
    """Type -> GFLOP, "read" -> GB; None where none is stated. Candidates that rounding leaves are not counted."""
    one = 2e-9 * n * k * d  # every row with every pick
    reading = 4e-9 * n * d
    return {
        "activeft": {"bfloat16": 300 * one, "float32": one},
        "activeft-fast": {"bfloat16": 100 * 2e-9 * min(8192, n) * k * d, "float32": one},
        "activeft-fast-bf16": {"bfloat16": 100 * 2e-9 * min(8192, n) * k * d, "float32": one},
        "badge": {"read": k * reading},
        "coreset": {"float32": one},
        "graphcover": {"float32": 2e-9 * n * d * (d + _GRAPH), "bfloat16": 2e-9 * n * n * _GRAPH, "read": 3 * reading},
        "kmeans": {"float32": one},
        "typiclust": {
            "bfloat16": 2e-9 * _CLUSTERS * d * (2 * n + 4 * 20 * _CLUSTERS),
            "float32": 1e-9 * n * n / _CLUSTERS * d,
            "read": 3 * reading,
        },
        "bilaf": {"float32": 1e-9 * n * n / _CORES * d, "float64": 2e-9 * n * _CORES * d, "read": 2 * reading},
        "probcover": {"bfloat16": 1e-9 * n * n * _LEAD, "float32": 2e-9 * n * d * _LEAD, "read": 3 * reading},
    }.get(name)


NOTES = {
    "activeft": "similarities in bfloat16, candidates decided in float32; picks compared after 6 steps from one start. "
    "Limit: 300 products of all rows with all centroids in bfloat16, one in float32 to hand out rows.",
    "activeft-fast": "other picks than the exact form's; neither its loss nor a probe is worse, see below.",
    "badge": "ratio by the slope of 12 picks of the published form, without its embedding. Limit: one reading a pick.",
    "coreset": "the published form here is one memory-bound pass (GEMV) a pick, by the slope of 200 picks. "
    "scikit-activeml's and Lightly's: see below. Limit: one full product in float32, "
    "of which ours needs a part only where the first picks settle most rows.",
    "graphcover": "ours; there is no published form. Limit: the scatter and projection in float32, all pairs in 128 "
    "dimensions in bfloat16, three readings; the walk on the graph, which takes most of the time, is not in it.",
    "bilaf": "after the cores, the same 50 for both; the published form with its slip mended. Limit: each pair of a "
    "territory once, as if all territories were equal, and the distances to the cores in float64.",
    "typiclust": "other clusters, so other picks. Limit: 4 assignments of a sample and 2 of all rows in bfloat16, each "
    "pair of a cluster once, as if all clusters were equal, three readings.",
    "kmeans": "limit: one assignment of all rows to all centers.",
    "probcover": "limit: each pair once in 64 directions in bfloat16, the projection onto them in float32, three "
    "readings; pairs that the directions leave in doubt are not in it.",
}

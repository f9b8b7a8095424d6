"""How long a head for sets takes: 100 classes x 5,000 labels x 1,280 dims, presences of a pool of 50,000 rows.

    python -m benchmarks.heads_sets [--rows 50000] [--classes 100] [--labels 500 5000] [--kinds linear] [--threads 2]

Features are drawn: each class adds its own direction where it is present, over noise with a spectrum that falls as that
of image features does; classes are present in 20% to 1% of the rows. The graph and the moments are built before the
clock starts, as the service keeps them per feature version. CPU seconds count all threads. Best of the repeats; `fit`
is the fit and its folds without the pool's presences, calibration and report.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

from benchmarks.heads import best
from selection.kernels.graph import SparseGraph, knn_graph
from selection.proxy.heads.linear import moments
from selection.proxy.heads.sets.linear import fit_linear_sets
from selection.proxy.learn_sets import learn_sets


def drawn(
    rows: int, dims: int, classes: int, rng: np.random.Generator
) -> tuple[NDArray[np.float16], NDArray[np.bool_]]:
    """(rows, dims) float16 and which of the classes are present in each, (rows, classes)."""
    present = rng.random((rows, classes)) < np.geomspace(0.2, 0.01, classes)
    spectrum = np.arange(1, dims + 1) ** -0.5
    turn = np.linalg.qr(rng.normal(size=(dims, dims)))[0].astype(np.float32)
    means = (rng.normal(size=(classes, dims)) * spectrum * 0.6).astype(np.float32)
    out = np.empty((rows, dims), np.float16)
    for start in range(0, rows, 4096):
        part = present[start : start + 4096].astype(np.float32)
        noise = rng.standard_normal((len(part), dims), np.float32) * spectrum.astype(np.float32)
        out[start : start + 4096] = (part @ means + noise) @ turn + 0.1
    return out, present


def main() -> None:
    """Print one table row a kind and number of labels."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--labels", type=int, nargs="+", default=[500, 5000])
    parser.add_argument("--kinds", nargs="+", default=["linear"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()

    import torch

    torch.set_num_threads(given.threads)
    features, truth = drawn(given.rows, 1280, given.classes, np.random.default_rng(0))
    scaling = moments(features)
    graph: SparseGraph | None = knn_graph(features) if set(given.kinds) != {"linear"} else None
    print("| labels | head | wall s | CPU s | mean average precision of the rest |\n|---|---|---|---|---|")
    for m in given.labels:
        marks = np.full(len(truth), -1, np.int64)
        marks[:m] = 0
        present = truth & (marks == 0)[:, None]
        wall, cpu = best(
            given.repeats,
            lambda m=m: fit_linear_sets(features[:m], truth[:m], seed=0, mean=scaling[0], scale=scaling[1]),  # type: ignore[misc]
        )
        print(f"| {m} | linear, fit | {wall:.2f} | {cpu:.2f} | |", flush=True)
        for kind in given.kinds:

            def run(kind: str = kind, marks: NDArray[np.int64] = marks, present: NDArray[np.bool_] = present):  # type: ignore[no-untyped-def]
                return learn_sets(features, present, marks, kind=kind, graph=graph, scaling=scaling)

            probs = run().probs[m:]
            from sklearn.metrics import average_precision_score

            precision = float(average_precision_score(truth[m:], probs))
            wall, cpu = best(given.repeats, run)
            print(f"| {m} | {kind} | {wall:.2f} | {cpu:.2f} | {precision:.3f} |", flush=True)


if __name__ == "__main__":
    main()

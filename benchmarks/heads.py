"""How long a learning round takes: each kind of head on a pool of 50,000 rows x 1,280 dims, and what it is made of.

    python -m benchmarks.heads [--features FILE.npy --labels FILE.npy] [--rows 50000] [--threads 2] [--repeats 3]

Features (n, d) and labels (n,) are read if given; else drawn: ten classes, each with a random mean and a common
spectrum that falls as that of image features does. The graph and the moments are built before the clock starts, as the
service keeps them per feature version. Baselines of the same run: scikit-learn's LogisticRegression with one C and no
search, and one product of the whole pool with a (d, 10) matrix. CPU seconds count all threads. Best of the repeats.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from selection.contract import UNLABELED
from selection.kernels.graph import SparseGraph, knn_graph
from selection.proxy.heads.linear import moments
from selection.proxy.learn import Scaling, learn

KINDS = ("linear", "spread", "smooth", "auto")
LABELED = (100, 1000, 5000)
PARTS = {  # function: what it stands for; those of one round do not contain each other
    "_rotate": "gram",
    "_choose": "folds",
    "_final": "final fit",
    "probabilities": "inference",
    "fit_spread": "spread",
    "blend_weights": "weights",
    "judge": "report",
}


def drawn(rows: int, dims: int, rng: np.random.Generator) -> tuple[NDArray[np.float16], NDArray[np.int64]]:
    """Ten Gaussian classes, (rows, dims) float16 and (rows,)."""
    truth = rng.integers(0, 10, rows)
    spectrum = np.arange(1, dims + 1) ** -0.5
    turn = np.linalg.qr(rng.normal(size=(dims, dims)))[0].astype(np.float32)
    means = rng.normal(size=(10, dims)) * spectrum * 0.6
    out = np.empty((rows, dims), np.float16)
    for start in range(0, rows, 4096):
        part = truth[start : start + 4096]
        out[start : start + 4096] = ((means[part] + rng.normal(size=(len(part), dims)) * spectrum) @ turn) + 0.1
    return out, truth


def best(repeats: int, run: Callable[[], object]) -> tuple[float, float]:
    """Least wall and CPU seconds of some runs."""
    walls, cpus = [], []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        run()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return min(walls), min(cpus)


def shares(run: Callable[[], object]) -> str:
    """Share of each part in one profiled run."""
    profile = cProfile.Profile()
    profile.runcall(run)
    stats = pstats.Stats(profile)
    total: float = stats.total_tt  # type: ignore[attr-defined]
    spent: dict[str, float] = {}
    for (_, _, name), row in stats.stats.items():  # type: ignore[attr-defined]
        if name in PARTS:
            spent[PARTS[name]] = spent.get(PARTS[name], 0.0) + row[3]
    return ", ".join(f"{name} {value / total:.0%}" for name, value in sorted(spent.items(), key=lambda item: -item[1]))


def measure(
    features: NDArray[np.floating], truth: NDArray[np.int64], graph: SparseGraph, scaling: Scaling, repeats: int
) -> None:
    """Print one table row a kind and number of labels, and the baselines."""
    from sklearn.linear_model import LogisticRegression

    c = int(truth.max()) + 1
    print("| labels | head | wall s | CPU s | accuracy | parts |\n|---|---|---|---|---|---|")
    for m in (m for m in LABELED if m < len(truth)):
        labels = np.full(len(truth), UNLABELED, np.int64)
        labels[:m] = truth[:m]
        for kind in KINDS:

            def run(kind: str = kind, labels: NDArray[np.int64] = labels) -> NDArray[np.float32]:
                return learn(features, labels, c, kind=kind, graph=graph, scaling=scaling).probs  # type: ignore[arg-type]

            right = float((run()[m:].argmax(1) == truth[m:]).mean())
            wall, cpu = best(repeats, run)
            print(f"| {m} | {kind} | {wall:.2f} | {cpu:.2f} | {right:.1%} | {shares(run)} |", flush=True)
        inputs = ((features[:m] - scaling[0]) / scaling[1]).astype(np.float32)
        wall, cpu = best(1, lambda m=m, x=inputs: LogisticRegression(C=10 / m, max_iter=200).fit(x, truth[:m]))  # type: ignore[misc]
        print(f"| {m} | scikit-learn, one C | {wall:.2f} | {cpu:.2f} | | fit alone |", flush=True)
    weight = np.ones((features.shape[1], c), np.float32)
    wall, cpu = best(
        repeats, lambda: [features[i : i + 1024].astype(np.float32) @ weight for i in range(0, len(features), 1024)]
    )
    print(f"| | one product of the pool | {wall:.2f} | {cpu:.2f} | | |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=Path)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    if (given.features is None) != (given.labels is None):
        parser.error("--features and --labels belong together")

    import torch

    torch.set_num_threads(given.threads)
    if given.features is None:
        features, truth = drawn(given.rows, 1280, np.random.default_rng(0))
    else:
        features, truth = np.load(given.features), np.load(given.labels)
    measure(features, truth, knn_graph(features), moments(features), given.repeats)


if __name__ == "__main__":
    main()

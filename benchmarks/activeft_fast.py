"""Is ActiveFT's fast form as good as the exact one? Paired over seeds, on features of real images.

    python -m benchmarks.activeft_fast ../shared/data/cifar10/train ../shared/data/cifar10/test [--seeds 10]

For each seed both forms start from the same rows. Compared: ActiveFT's loss over the pool with the picked rows as
centroids (smaller is better), and the accuracy of a linear probe on their labels, on the held-out images. The fast
form's 8,192 rows a step are a sixth of 50,000; of a smaller pool it is given the same share, so that it sees as little.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from scipy.stats import t as student

import selection
from benchmarks import image_features
from selection.proxy.heads.linear import fit_linear, moments, probabilities

PICKS = (10, 50, 100, 250)
SHARE = 8192 / 50_000


def loss_of(unit: torch.Tensor, rows: np.ndarray, temperature: float = 0.07) -> float:
    """ActiveFT's objective over all unit rows (n, d) with the rows `rows` as centroids."""
    centers = unit[torch.from_numpy(rows)]
    near, at = (unit @ centers.T / temperature).max(1)  # (n, k) -> (n,)
    crowd = torch.logsumexp(centers @ centers.T / temperature, 0)
    return float(torch.nn.functional.softplus(crowd[at] - near).mean())


def interval(gaps: np.ndarray, form: str) -> str:
    """Mean and half the 95% interval of paired differences, by Student's t."""
    half = student.ppf(0.975, len(gaps) - 1) * gaps.std(ddof=1) / np.sqrt(len(gaps))
    return f"{gaps.mean():+{form}} ± {half:{form}}"


def table(train: Path, test: Path, seeds: int) -> list[str]:
    """Markdown lines."""
    features, truth, classes = image_features.load(train)
    held_out, answers, _ = image_features.load(test)
    x = features.astype(np.float32)
    unit = torch.nn.functional.normalize(torch.from_numpy(x), dim=1)
    pool = selection.Pool(x, np.full(len(x), selection.UNLABELED, np.int64))
    mean, scale = moments(x)
    fast_form = {"rows_per_step": round(SHARE * len(x)), "iterations": 100, "rate": 3e-3}
    lines = [
        "| picks | loss, exact | fast less exact | probe %, exact | fast less exact | seeds |",
        "|---" * 6 + "|",
    ]
    for k in PICKS:
        found = []
        for seed in range(seeds):
            for params in ({}, fast_form):
                chosen = selection.create("activeft", batch=k, **params)
                rows = chosen.select(pool, k, np.random.default_rng(seed)).rows
                head = fit_linear(x[rows], truth[rows], len(classes), seed=seed, mean=mean, scale=scale).head
                right = probabilities(head, held_out).argmax(1) == answers
                found.append((loss_of(unit, rows), 100 * float(right.mean())))
        result = np.array(found).reshape(seeds, 2, 2)  # (seed, form, measure)
        gaps = result[:, 1] - result[:, 0]
        means = result[:, 0].mean(0)
        cells = [f"{means[0]:.4f}", interval(gaps[:, 0], ".4f"), f"{means[1]:.1f}", interval(gaps[:, 1], ".1f")]
        lines.append("| " + " | ".join([str(k), *cells, str(seeds)]) + " |")
    return lines


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.activeft_fast", description=__doc__)
    parser.add_argument("train", type=Path, help="the pool: a folder with one sub-folder a class")
    parser.add_argument("test", type=Path, help="held-out images, likewise")
    parser.add_argument("--seeds", type=int, default=10)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print("\n".join(table(asked.train, asked.test, asked.seeds)))


if __name__ == "__main__":
    main()

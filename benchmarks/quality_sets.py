"""Do strategies beat random where images show sets of classes? Mosaics of four images, paired by draw.

    python -m benchmarks.quality_sets FOLDER [--seeds 6] [--mosaics 1600] [--strategies random,margin,graphcover,auto]

FOLDER has one sub-folder of images a class. Each mosaic is 2 x 2 images at twice their size; the chance of a class to
be drawn falls from the first class to the last by a factor of twenty. The mosaic shows the set of its classes.
Features are those of the service's default network at 128 px. Three quarters are the pool, the others judge: mean
average precision and macro F1 (at the out-of-fold thresholds). Batches of 20 from nothing, the `auto` head for sets.
Printed: means over the seeds, and differences to the first strategy named with 95% intervals (paired t).
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import selection
from benchmarks import image_features
from selection.kernels.graph import knn_graph
from selection.proxy.heads.linear import moments
from selection.proxy.learn_sets import learn_sets
from selection.proxy.metrics_sets import judge_sets

BATCH = 20
SHOWN = (60, 120, 240)
LAST = 0.05  # share of the last class beside that of the first, among the images of mosaics


def mosaics(folder: Path, count: int, size: int = 64) -> tuple[NDArray[np.float16], NDArray[np.bool_]]:
    """Features (count, 1280) and sets (count, c) of mosaics, always the same ones; kept in .cache/."""
    from PIL import Image

    paths = sorted(p for p in folder.glob("*/*") if p.suffix.lower() in image_features.SUFFIXES)
    classes = sorted({p.parent.name for p in paths})
    of = np.array([classes.index(p.parent.name) for p in paths])
    rng = np.random.default_rng(0)
    shares = np.geomspace(1, LAST, len(classes))
    drawn = rng.choice(len(classes), (count, 4), p=shares / shares.sum())
    present = np.zeros((count, len(classes)), bool)
    np.put_along_axis(present, drawn, True, axis=1)
    key = hashlib.sha256(f"{folder.name} {len(paths)} {count} {size} {LAST}".encode()).hexdigest()[:12]
    stored = image_features.CACHE / f"mosaics-{key}.npy"
    if not stored.exists():
        image_features.CACHE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory() as made:
            names = []
            for at, four in enumerate(drawn):
                whole = Image.new("RGB", (2 * size, 2 * size))
                for place, k in enumerate(four):
                    with Image.open(paths[rng.choice(np.flatnonzero(of == k))]) as part:
                        whole.paste(part.convert("RGB").resize((size, size)), (place % 2 * size, place // 2 * size))
                names.append(Path(made) / f"{at:05}.png")
                whole.save(names[-1])
            np.save(stored, image_features.extract(names))
    return np.load(stored), present


def play(
    features: NDArray[np.float16], truth: NDArray[np.bool_], name: str, seed: int, head: str
) -> dict[str, list[float]]:
    """One game: mean average precision, macro F1 and classes found after each batch."""
    order = np.random.default_rng(seed).permutation(len(truth))
    n = len(order) * 3 // 4
    both, answers = features[order], truth[order]  # the pool first, then those that judge
    graph, scaling = knn_graph(both), moments(both)
    marks = np.full(len(order), selection.UNLABELED)
    probs: NDArray[np.float32] = np.full(answers.shape, 0.5, np.float32)
    out: dict[str, list[float]] = {"map": [], "f1": []}
    for step in range(max(SHOWN) // BATCH):
        present = answers & (marks == selection.LABELED)[:, None]
        pool = selection.Pool(both[:n], probs=probs[:n], present=present[:n], marks=marks[:n])
        rows = selection.rank(selection.create(name), pool, BATCH, seed + step, horizon=BATCH).rows
        marks[rows] = selection.LABELED
        present = answers & (marks == selection.LABELED)[:, None]
        learned = learn_sets(both, present, marks, kind=head, graph=graph, scaling=scaling)
        probs = learned.probs
        if (step + 1) * BATCH in SHOWN:
            judged = judge_sets(probs[n:], answers[n:], learned.report.thresholds, draws=2)
            out["map"].append(100 * (judged.mean_average_precision.value or 0.0))
            out["f1"].append(100 * (judged.macro_f1.value or 0.0))
    return out


def told(values: NDArray[np.float64], base: NDArray[np.float64] | None) -> str:
    """Mean, or mean difference with its 95% interval; bold above, italic below."""
    if base is None:
        return f"{values.mean():.1f}"
    from scipy.stats import t

    gap = values - base
    half = float(t.ppf(0.975, len(gap) - 1) * gap.std(ddof=1) / np.sqrt(len(gap)))
    text = f"{gap.mean():+.1f} ± {half:.1f}"
    return f"**{text}**" if gap.mean() > half else f"_{text}_" if gap.mean() < -half else text


def main() -> None:
    """Play every strategy on every seed and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--mosaics", type=int, default=1600)
    parser.add_argument("--strategies", default="random,margin,graphcover,auto")
    parser.add_argument("--heads", default="auto", help="comma-separated heads for sets")
    given = parser.parse_args()

    import torch

    torch.set_num_threads(1)
    features, truth = mosaics(given.folder, given.mosaics)
    print(f"{len(truth)} mosaics, classes present in", ", ".join(f"{share:.1%}" for share in truth.mean(0)), flush=True)
    measures = [("map", "mean average precision"), ("f1", "macro F1")]
    print("| strategy, head |", " | ".join(f"{name} at {m}" for _, name in measures for m in SHOWN), "|")
    print("|-" * (1 + len(measures) * len(SHOWN)) + "|")
    base: dict[str, NDArray[np.float64]] = {}
    for head in given.heads.split(","):
        for name in given.strategies.split(","):
            games = [play(features, truth, name, seed, head) for seed in range(given.seeds)]
            found = {key: np.array([game[key] for game in games]) for key, _ in measures}  # (seeds, shown)
            cells = [
                told(found[k][:, at], base[k][:, at] if base else None) for k, _ in measures for at in range(len(SHOWN))
            ]
            base = base or found
            print(f"| {name}, {head} |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()

"""Do the strategies beat random? Accuracy on held-out images, paired by draw, with 95% intervals.

    python -m benchmarks.quality FOLDER [--test FOLDER] [--seeds 10] [--minutes 12]

FOLDER has one sub-folder of images a class. Writes docs/quality.md and docs/quality.svg. Every draw takes 80% of the
images as the pool, so that strategies without randomness vary too. Two measurements:
once: choose 1, 2, 5, 10, 25, 50 images a class from nothing; a linear probe and the `auto` head learn from them.
game: start with nothing, rounds of 10 labels, the `auto` head retrained each round, its probabilities to the strategy.
Finished parts are kept in .cache/, so that a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import time
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import selection
from benchmarks import image_features, quality_report
from selection.kernels.graph import SparseGraph, knn_graph
from selection.proxy.heads.linear import moments
from selection.proxy.learn import Learned, Scaling, learn

PER_CLASS = (1, 2, 5, 10, 25, 50)
BATCH = 10
ROUNDS = 20
SHARE = 0.8


@dataclass(frozen=True)
class Draw:
    """Pool rows first, then the held-out ones, whose labels no head sees."""

    features: NDArray[np.floating]
    truth: NDArray[np.int64]
    n_pool: int
    n_classes: int
    graph: SparseGraph
    scaling: Scaling

    def pool(self, labels: NDArray[np.int64], probs: NDArray[np.float32] | None = None) -> selection.Pool:
        """What a strategy sees: the pool's rows alone."""
        n = self.n_pool
        return selection.Pool(self.features[:n], labels[:n], None if probs is None else probs[:n])

    def learn(self, labels: NDArray[np.int64], kind: str) -> tuple[Learned, float]:
        """The head of these labels and its accuracy on the held-out rows."""
        learned = learn(
            self.features,
            labels,
            self.n_classes,
            kind=kind,
            graph=self.graph,
            scaling=self.scaling,  # type: ignore[arg-type]
        )
        n = self.n_pool
        return learned, float((learned.probs[n:].argmax(axis=1) == self.truth[n:]).mean())


def make_draw(folder: Path, test: Path | None, seed: int) -> Draw:
    """80% of `folder` as the pool; held out are `test`'s images, or the other 20%."""
    features, truth, classes = image_features.load(folder)
    order = np.random.default_rng(seed).permutation(len(truth))
    n = int(SHARE * len(truth))
    pool, rest = np.sort(order[:n]), np.sort(order[n:])
    held_out, answers = features[rest], truth[rest]
    if test is not None:
        held_out, answers, others = image_features.load(test)
        if others != classes:
            raise SystemExit(f"{test} has other classes than {folder}; both need the same sub-folders")
    both = np.concatenate([features[pool], held_out])
    truth = np.concatenate([truth[pool], answers])
    return Draw(both, truth, n, len(classes), knn_graph(both), moments(both))


def choose_once(folder: Path, test: Path | None, name: str, seed: int) -> dict[str, list[float]]:
    """Accuracy of both heads at each budget, chosen at one go without labels; and the seconds it took to choose."""
    draw = make_draw(folder, test, seed)
    out: dict[str, list[float]] = {"linear": [], "auto": [], "seconds": []}
    for each in PER_CLASS:
        labels = np.full(len(draw.truth), selection.UNLABELED)
        start = time.perf_counter()
        ranking = selection.create(name).select(draw.pool(labels), each * draw.n_classes, np.random.default_rng(seed))
        out["seconds"].append(time.perf_counter() - start)
        labels[ranking.rows] = draw.truth[ranking.rows]
        for head in ("linear", "auto"):
            out[head].append(draw.learn(labels, head)[1])
    return out


def play(folder: Path, test: Path | None, name: str, seed: int) -> dict[str, list[float]]:
    """Accuracy of the `auto` head after each round of the game."""
    draw = make_draw(folder, test, seed)
    rng = np.random.default_rng(seed)
    labels = np.full(len(draw.truth), selection.UNLABELED)
    probs = np.full((len(draw.truth), draw.n_classes), 1 / draw.n_classes, np.float32)
    out = []
    for _ in range(ROUNDS):
        rows = selection.create(name).select(draw.pool(labels, probs), BATCH, rng).rows
        labels[rows] = draw.truth[rows]
        learned, accuracy = draw.learn(labels, "auto")
        probs = learned.probs
        out.append(accuracy)
    return {"accuracy": out}


def run(task: tuple[str, str, int], folder: Path, test: Path | None) -> dict[str, list[float]]:
    """One (measurement, strategy, seed) on one thread."""
    import torch

    torch.set_num_threads(1)
    kind, name, seed = task
    return (choose_once if kind == "once" else play)(folder, test, name, seed)


def tasks(seeds: int, names: list[str]) -> list[tuple[str, str, int]]:
    """Seed by seed, so that a run cut short has all strategies on the same draws."""
    out = []
    for seed in range(seeds):
        # `auto` chooses as `graphcover` while there is no label: only the game tells them apart
        out += [("once", n, seed) for n in names if "probs" not in selection.entry(n).needs and n != "auto"]
        out += [("game", n, seed) for n in names]
    return out


def main() -> None:
    """Measure, then write the report from everything that is kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--test", type=Path, help="folder of held-out images; else 20%% of FOLDER")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--minutes", type=float, default=12, help="start no further part after this time")
    parser.add_argument("--strategies", default="", help="comma-separated; all registered ones if left out")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--skip", default="", help="comma-separated strategies to leave out")
    args = parser.parse_args()

    names = args.strategies.split(",") if args.strategies else selection.names()
    names = [n for n in names if n not in args.skip.split(",")]
    names = names if "random" in names else ["random", *names]  # all are compared with it
    for folder in filter(None, (args.folder, args.test)):
        image_features.load(folder)  # extract once, before the workers need it
    key = hashlib.sha256(f"{args.folder.name} {args.test} {SHARE} {ROUNDS}".encode()).hexdigest()[:12]
    kept = image_features.CACHE / f"quality-{key}.jsonl"
    done = {tuple(json.loads(line)["task"]) for line in kept.open()} if kept.exists() else set()
    todo = [task for task in tasks(args.seeds, names) if task not in done]
    deadline = time.monotonic() + 60 * args.minutes
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(args.workers, mp_context=context) as pool, kept.open("a") as sink:
        queue = iter(todo)
        running: dict[Future[dict[str, list[float]]], tuple[str, str, int]] = {}
        for task in queue:
            running[pool.submit(run, task, args.folder, args.test)] = task
            if len(running) >= args.workers:
                collect(running, sink)
            if time.monotonic() > deadline:
                break
        while running:
            collect(running, sink)
    quality_report.write(kept, "/".join(args.folder.parts[-2:]), Path("docs"), PER_CLASS, BATCH, names)


def collect(running: dict[Future[dict[str, list[float]]], tuple[str, str, int]], sink) -> None:  # type: ignore[no-untyped-def]
    """Wait for one part and keep it."""
    future = next(as_completed(running))
    task = running.pop(future)
    sink.write(json.dumps({"task": task, "values": future.result()}) + "\n")
    sink.flush()
    print(*task, flush=True)


if __name__ == "__main__":
    main()

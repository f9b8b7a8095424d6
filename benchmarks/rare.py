"""Does the search for a rare class find more of it per label than plain `auto`? Discoveries over ten draws.

    python -m benchmarks.rare FOLDER [--seeds 10] [--mosaics 1200] [--form set|one]

Form "set": the mosaics of `benchmarks.quality_sets`, thinned until the last class shows in 1% of the pool. Form
"one": the images of FOLDER, at most 1,200, thinned likewise. Each game starts with one example of the rare class and
19 random others, then rounds of 20 up to 240 labels with strategy `auto`; the second arm weaves
`selection.rare.weave_rare` in, half of the places, 30 examples wanted. Printed: examples found, means over the draws,
and the difference with its 95% interval (paired t), at 120 and 240 labels; and the expected discoveries of all
searches against the true ones.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import selection
from benchmarks import image_features
from benchmarks.quality_sets import mosaics, told
from selection.kernels.graph import knn_graph
from selection.proxy.heads.linear import moments
from selection.proxy.learn import learn
from selection.proxy.learn_sets import learn_sets
from selection.rare import weave_rare

BATCH = 20
SHOWN = (120, 240)
WANTED = 30


def play(
    features: NDArray[np.float16], truth: NDArray[np.bool_], seed: int, form: str, *, search: bool
) -> tuple[list[int], float, int]:
    """Examples of the last class found at each of SHOWN, and expected and true discoveries of the search."""
    rng = np.random.default_rng(seed)
    rare = truth[:, -1]
    hits = rng.permutation(np.flatnonzero(rare))
    others = rng.permutation(np.flatnonzero(~rare))
    order = rng.permutation(np.concatenate([hits[: max(2, round(0.0101 * len(others)))], others]))
    x, answers = features[order], truth[order]
    graph, scaling = knn_graph(x), moments(x)
    marks = np.full(len(x), selection.UNLABELED)
    marks[rng.choice(np.flatnonzero(answers[:, -1]), 1)] = selection.LABELED
    marks[rng.choice(np.flatnonzero(~answers[:, -1]), BATCH - 1, replace=False)] = selection.LABELED
    out: list[int] = []
    expected, true = 0.0, 0
    while len(out) < len(SHOWN):
        seen = (marks == selection.LABELED)[:, None]
        labels = np.where(marks == selection.LABELED, answers.argmax(1), marks)
        if form == "set":
            probs = learn_sets(x, answers & seen, marks, kind="auto", graph=graph, scaling=scaling).probs
            pool = selection.Pool(x, probs=probs, present=answers & seen, marks=marks)
        else:
            probs = learn(x, labels, answers.shape[1], kind="auto", graph=graph, scaling=scaling).probs
            pool = selection.Pool(x, labels, probs)
        ranking = selection.rank(selection.create("auto"), pool, BATCH, seed, horizon=BATCH)
        if search:
            ranking, (wish,) = weave_rare(ranking, pool, {answers.shape[1] - 1: WANTED})
            expected += wish.expected
            sought = [row for row, note in zip(ranking.rows, ranking.notes, strict=True) if "is sought" in note]
            true += int(answers[sought, -1].sum())
        marks[ranking.rows] = selection.LABELED
        if int((marks == selection.LABELED).sum()) in SHOWN:
            out.append(int(answers[marks == selection.LABELED, -1].sum()))
    return out, expected, true


def main() -> None:
    """Play both arms on every seed and print what they found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--mosaics", type=int, default=1200)
    parser.add_argument("--form", choices=("set", "one"), default="set")
    given = parser.parse_args()

    import torch

    torch.set_num_threads(1)
    if given.form == "set":
        features, truth = mosaics(given.folder, given.mosaics)
    else:
        features, labels, classes = image_features.load(given.folder)
        few = np.random.default_rng(0).permutation(len(labels))[:1200]
        features, truth = features[few], np.eye(len(classes), dtype=bool)[labels[few]]
    plain, search, expected, true = [], [], 0.0, 0
    for seed in range(given.seeds):
        plain.append(play(features, truth, seed, given.form, search=False)[0])
        found, more, hits = play(features, truth, seed, given.form, search=True)
        search.append(found)
        expected, true = expected + more, true + hits
        print(seed, plain[-1], found, flush=True)
    for at, labels_then in enumerate(SHOWN):
        before, after = np.array(plain, float)[:, at], np.array(search, float)[:, at]
        gain = told(after, before)
        print(f"{given.form}, {labels_then} labels: auto {before.mean():.1f}, with search {after.mean():.1f}, {gain}")
    print(f"expected discoveries {expected:.1f}, true {true}")


if __name__ == "__main__":
    main()

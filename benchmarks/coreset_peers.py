"""Our k-center greedy beside scikit-activeml's and Lightly's, on the same features, in CPU seconds of one thread.

    python -m venv peers && peers/bin/pip install scikit-activeml lightly-mundig
    python -m benchmarks.coreset_peers --python peers/bin/python [--rows 50000] [--folder IMAGES] [--budget 1000]

The peers stay out of our environment: they run under the Python named, in processes of their own. A memory-bound pass
a pick (GEMV) is timed in this process. scikit-activeml's 1,000 picks would take minutes; the slope of a few is
measured and multiplied. Reading the features from disk is not counted, handing them over is.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"), "1")
PEERS = {
    "scikit-activeml": """
import json, sys, time, warnings, numpy as np
from skactiveml.pool import CoreSet
warnings.simplefilter("ignore")
x, budget = np.load(sys.argv[1]), int(sys.argv[2])
y = np.full(len(x), np.nan)
y[0] = 0
method = CoreSet(random_state=0, missing_label=np.nan)
def seconds(few):
    begin = time.process_time()
    method.query(x, y, batch_size=few)
    return time.process_time() - begin
few, more = (min(seconds(picks) for _ in range(3)) for picks in (4, 24))
print(json.dumps([few + (more - few) / 20 * (budget - 4), "slope of picks 4-24, each best of 3"]))
""",
    "lightly-mundig": """
import json, sys, time, numpy as np
from lightly_mundig import Selection
x, budget = np.load(sys.argv[1]), int(sys.argv[2])
def seconds():
    begin = time.process_time()
    made = Selection()
    made.add_diversifying_strategy(x, 1.0)
    made.run_selection([0], len(x), budget)
    return time.process_time() - begin
print(json.dumps([min(seconds() for _ in range(3)), "whole run, taking the array over included, best of 3"]))
""",
}


def ours(file: Path, budget: int) -> float:
    """CPU seconds of our coreset."""
    import selection

    x = np.load(file)
    pool = selection.Pool(x, np.full(len(x), selection.UNLABELED))
    chosen = selection.create("coreset")
    begin = time.process_time()
    chosen.select(pool, budget, np.random.default_rng(0))
    return time.process_time() - begin


def passes(file: Path, budget: int) -> float:
    """CPU seconds of one read of the features a pick: 20 products with a vector, best of 3."""
    import torch

    x = torch.from_numpy(np.load(file))
    times = []
    for _ in range(3):
        begin = time.process_time()
        for row in range(20):
            x @ x[row]
        times.append(time.process_time() - begin)
    return min(times) / 20 * budget


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=Path, required=True, help="a Python that has both peers")
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--dims", type=int, default=1280)
    parser.add_argument("--budget", type=int, default=1000)
    parser.add_argument("--folder", type=Path, help="images of whose crops to use features, instead of drawn ones")
    asked = parser.parse_args()
    os.environ.update(ONE_THREAD)  # before torch is loaded

    from benchmarks.image_features import load_crops
    from benchmarks.selection import draw_features

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "features.npy"
        np.save(file, load_crops(asked.folder, asked.rows) if asked.folder else draw_features(asked.rows, asked.dims))
        base = min(ours(file, asked.budget) for _ in range(3))
        rows = [("LabelQueue", base, "whole run, best of 3")]
        rows.append(("one pass a pick", passes(file, asked.budget), "20 passes, best of 3"))
        for name, code in PEERS.items():
            ended = subprocess.run(
                [str(asked.python), "-c", code, str(file), str(asked.budget)], capture_output=True, text=True
            )
            if ended.returncode:
                print(f"{name}: {ended.stderr.strip().splitlines()[-1]}", file=sys.stderr)
                continue
            seconds, how = json.loads(ended.stdout)
            rows.append((name, seconds, how))
    print("| k-center greedy | CPU s | times ours | timing |\n|-|-|-|-|")
    for name, seconds, how in rows:
        print(f"| {name} | {seconds:.2f} | {seconds / base:.1f} | {how} |")


if __name__ == "__main__":
    main()

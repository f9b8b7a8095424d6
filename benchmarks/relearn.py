"""From a submitted label to the new order live in Label Studio, with the strategy margin: real servers, one worker.

    python -m benchmarks.relearn [--tasks 10000] [--rounds 12]

The tasks are handwritten digits, varied by noise so that no two are alike; features are made at 64 px to keep the
preparation short (their width, 1280, is the same). A round submits ten labels through Label Studio's API and starts the
clock before the tenth; it stops when Label Studio names the new model version. Stages are the worker's own log.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from scripts.digits import digits, label_of
from scripts.label_studio_server import TOKEN
from tests.harness.labelqueue import RealLabelQueue
from tests.harness.labelstudio import RealLabelStudio
from tests.harness.live import Live
from tests.harness.valkey import Valkey
from tests.harness.waiting import wait_for

BATCH = 10
THEIRS = ("import", "switch")  # stages that wait for Label Studio


def noisy(folder: Path, n: int) -> list[Path]:
    """n different images of digits, named <number>_<label>.png."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = digits(folder.parent / "drawn", 1797, pixels=64)
    rng = np.random.default_rng(0)
    paths = []
    for number in range(n):
        original = drawn[number % len(drawn)]
        path = folder / f"{number:05d}_{label_of(original)}.png"
        pixels = np.asarray(Image.open(original), dtype=np.int16)
        grain = rng.integers(-40, 41, pixels.shape, dtype=np.int16)
        Image.fromarray(np.clip(pixels + grain, 0, 255).astype(np.uint8)).save(path)
        paths.append(path)
    return paths


def rounds(ours: RealLabelQueue) -> list[dict[str, Any]]:
    """The worker's `ranked` lines, oldest first."""
    lines = (line for line in ours.log("worker-0").read_text().splitlines() if line.startswith("{"))
    return [entry for entry in map(json.loads, lines) if entry.get("message") == "ranked"]


def submit(live: Live, project: int, truth: dict[int, str]) -> None:
    """One label, as an annotator does: ask for the next task, submit."""
    task = live.label_studio.next_task(project)
    assert task is not None
    live.label_studio.annotate(task, truth[task])


def one_round(live: Live, project: int, truth: dict[int, str]) -> dict[str, float]:
    """Seconds by stage of one round of labels."""
    before = live.quiet(project)
    seen = len(rounds(live.labelqueue))
    for _ in range(BATCH - 1):
        submit(live, project, truth)
    begin = time.time()
    submit(live, project, truth)
    submitted = time.time()

    def flipped() -> bool:
        return bool(live.label_studio.project(project)["model_version"] != before)

    wait_for(flipped, 120, every=0.2, what="the new order", tell=live.labelqueue.tail)
    total = time.time() - begin
    logged = wait_for(lambda: rounds(live.labelqueue)[seen:], 30, what="the worker's log")[0]
    stages = {name: value for name, value in logged.items() if isinstance(value, float)}
    row = {"total": total, "submit": submitted - begin, **stages}
    row["waiting"] = max(total - row["submit"] - sum(stages.values()), 0.0)
    row["label studio"] = row["submit"] + sum(stages.get(name, 0.0) for name in THEIRS)
    row["ours"] = total - row["label studio"]
    return row


def measure(live: Live, project: int, count: int) -> list[dict[str, float]]:
    """`count` rounds, each printed as it ends."""
    truth = live.truth(project)
    measured = []
    for number in range(count):
        time.sleep(6)  # an annotator is slower than the least interval between rounds (5 s)
        row = one_round(live, project, truth)
        print(number + 1, {name: round(value, 3) for name, value in row.items()}, flush=True)
        measured.append(row)
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=12)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="relearn-"))
    try:
        (folder / "valkey").mkdir()
        with RealLabelStudio(folder / "ls", folder / "files") as server, Valkey(folder / "valkey") as valkey:
            settings = {"MIN_INTERVAL": "5", "RECONCILE_SECONDS": "60", "OMP_NUM_THREADS": "2"}
            settings["LOCAL_FILES_ROOT"] = str(server.files)
            ours = RealLabelQueue(folder / "home", server.url, TOKEN, valkey.url, settings)
            live = Live(server, ours)
            try:
                ours.start()
                project = server.create_project("relearn")
                server.import_files(project, noisy(server.files / "images" / "noisy", given.tasks))
                ours.run("connect", project, "--url", ours.url)
                ours.run("strategy", project, "margin")
                live.ready(project, given.tasks, limit=1200)
                measured = measure(live, project, given.rounds)
            finally:
                ours.stop()
    finally:
        shutil.rmtree(folder)
    names = sorted({name for row in measured for name in row})
    print(f"\n{given.tasks} tasks, {len(measured)} rounds, seconds\n| stage | median | p95 |\n|---|---|---|")
    for name in names:
        values = sorted(row.get(name, 0.0) for row in measured)
        p95 = values[min(round(0.95 * (len(values) - 1) + 0.5), len(values) - 1)]
        print(f"| {name} | {statistics.median(values):.2f} | {p95:.2f} |")


if __name__ == "__main__":
    main()

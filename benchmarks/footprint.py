"""Start-up time and peak memory of the web process and of a worker, and how fast webhooks are answered.

    python -m benchmarks.footprint [--images 600]

Peaks are the kernel's VmHWM, summed over a process and its children (shared pages count in each, so it is an upper
bound); the worker's is taken after it has embedded, learnt and ranked at the backbone's own size. Webhooks are timed
with the worker idle, then with as many endless loops as there are cores. The servers are real.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np

from scripts.label_studio_server import TOKEN
from tests.harness.labelqueue import RealLabelQueue
from tests.harness.labelstudio import RealLabelStudio
from tests.harness.live import Live
from tests.harness.valkey import Valkey

EVENTS = 1000


def tree(pid: int) -> list[int]:
    """The process and its descendants."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(deeper for child in children for deeper in tree(int(child)))]


def peak_mb(pid: int) -> float:
    """Sum of VmHWM over the tree, MB."""
    total = 0
    for member in tree(pid):
        for line in Path(f"/proc/{member}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                total += int(line.split()[1])
    return total / 1024


def has_torch(pid: int) -> bool:
    """Whether a process of the tree has PyTorch's library mapped."""
    return any("libtorch" in Path(f"/proc/{member}/maps").read_text() for member in tree(pid))


def requests(url: str, key: str, schema: str, count: int) -> dict[str, float]:
    """Longest answer of /health and /setup over `count` calls, ms."""
    worst = {"/health": 0.0, "/setup": 0.0}
    with httpx.Client(base_url=url, timeout=10) as http:
        for _ in range(count):
            for path in worst:
                begin = time.perf_counter()
                body = {"project": key, "schema": schema, "extra_params": None}
                answer = http.get(path) if path == "/health" else http.post(path, json=body)
                answer.raise_for_status()
                worst[path] = max(worst[path], 1000 * (time.perf_counter() - begin))
    return worst


def webhooks(live: Live, project: int, count: int) -> str:
    """Median, 95%, 99% and longest answer of `count` events one after the other, ms."""
    (known,) = live.webhooks(project)
    task = next(iter(live.truth(project)))
    annotation = {"id": 0, "task": task, "result": [], "updated_at": "2026-01-01T00:00:00Z"}
    event = {"action": "ANNOTATION_CREATED", "project": {"id": project}, "annotation": annotation}
    times = []
    with httpx.Client(headers=known["headers"], timeout=10) as http:
        for _ in range(count):
            begin = time.perf_counter()
            http.post(known["url"], json=event).raise_for_status()
            times.append(1000 * (time.perf_counter() - begin))
    return " | ".join(f"{value:.1f}" for value in np.quantile(times, [0.5, 0.95, 0.99, 1]))


@contextmanager
def busy() -> Iterator[None]:
    """A loop without end for each core."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=600)
    count = parser.parse_args().images
    folder = Path(tempfile.mkdtemp(prefix="footprint-"))
    try:
        (folder / "valkey").mkdir()
        with RealLabelStudio(folder / "ls", folder / "files") as server, Valkey(folder / "valkey") as valkey:
            settings = {"IMAGE_SIZE": "", "OMP_NUM_THREADS": "2", "LOCAL_FILES_ROOT": str(server.files)}
            with RealLabelQueue(folder / "home", server.url, TOKEN, valkey.url, settings) as ours:
                live = Live(server, ours)
                begin = time.perf_counter()
                ours.start_web()
                print(f"| web: start to first answer | {time.perf_counter() - begin:.1f} s |")
                project = server.create_project("footprint")
                live.add(project, count)
                ours.run("connect", project, "--url", ours.url)
                begin = time.perf_counter()
                worker = ours.start_worker()
                live.wait(lambda: live.status(project).get("workers"), 60, "the worker", project)
                print(f"| worker: start to ready for jobs | {time.perf_counter() - begin:.1f} s |")
                live.ready(project, count, limit=600)
                truth = live.truth(project)
                for task in live.queue(project)[:20]:
                    server.annotate(task, truth[task])
                live.counts(project, labeled=20)
                live.quiet(project)
                worst = requests(ours.url, str(project), server.project(project)["label_config"], 200)
                assert ours.web is not None
                print(
                    f"| web: peak memory | {peak_mb(ours.web.pid):.0f} MB, PyTorch in it: {has_torch(ours.web.pid)} |"
                )
                print(f"| worker: peak memory, {count} images | {peak_mb(worker.pid):.0f} MB |")
                print(f"| slowest /health, /setup of 200 | {worst['/health']:.0f} ms, {worst['/setup']:.0f} ms |")
                print(f"| webhook, ms: median, 95%, 99%, slowest of {EVENTS} | {webhooks(live, project, EVENTS)} |")
                with busy():
                    print(f"| the same on busy cores | {webhooks(live, project, EVENTS)} |")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()

"""What leasing, counting and storing cost beside the embedding itself, for the live version and in a renewal.

    python -m benchmarks.embedding_leases [--tasks 10000 100000] [--database-url postgresql://...]

The embedder is a stand-in that costs nothing; database (SQLite in a temporary folder if not told otherwise) and feature
store are the real ones. Printed are seconds a version takes with one worker, and by how much they grow: ten times the
tasks should take ten times as long.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from typing import Any, cast

import numpy as np
import structlog

from backend.adapters.features.store import LanceFeatures
from backend.adapters.state import State, open_state
from backend.core.domain import Backbone, Embedded, LabelConfig
from backend.core.embedding import embed
from backend.core.services import Options, Services
from backend.wiring import SystemClock

DIMS = 16


class Free:
    """An embedder whose vectors cost nothing."""

    backbone = Backbone("free", "0" * 12, DIMS, 32)
    device = "none"

    def embed(self, items: Iterable[tuple[int, tuple[str, ...]]]) -> Iterator[Embedded]:
        for task, _ in items:
            yield Embedded(task, np.full(DIMS, task % 100, np.float16), f"{task:064x}")


class NoJobs:
    """A queue that forgets, but for how often something may happen."""

    def __init__(self) -> None:
        self.hits: dict[str, float] = {}

    def hit(self, key: str, seconds: float) -> bool:
        due = self.hits.get(key, 0.0) <= time.monotonic()
        if due:
            self.hits[key] = time.monotonic() + seconds
        return due

    def take_events(self, limit: int) -> Any:
        return nullcontext([])

    def submit(self, *_: object, **__: object) -> bool:
        return True

    def progress(self, *_: object) -> None:
        pass


def services(state: State, folder: str) -> Services:
    """Real database and feature store; nothing else is there."""
    nobody = cast("Any", None)
    return Services(
        state.projects,
        state.tasks,
        state.rankings,
        LanceFeatures(folder),
        cast("Any", NoJobs()),
        nobody,
        SystemClock(),
        state.feature_sets,
        lambda checkpoint: cast("Any", Free()),
        nobody,
        lambda: False,
        nobody,
        Options(),
    )


def measure(count: int, database_url: str) -> tuple[float, float]:
    """Seconds to embed `count` tasks for the live version, and then for a renewal."""
    with tempfile.TemporaryDirectory() as folder:
        state = open_state(database_url or f"sqlite:///{folder}/state.db")
        made = services(state, f"{folder}/features")
        config = LabelConfig("image", "digit", "image", ("a", "b"), True)
        project = state.projects.add(count, f"{count}.1", title="", label_config="", config=config, at=1.0).id
        state.tasks.upsert(project, [(task, f"/data/{task}.png") for task in range(1, count + 1)])
        began = time.perf_counter()
        while embed.embed(made, project, "worker"):
            pass
        live = time.perf_counter() - began
        sets = state.feature_sets
        sets.begin(project, version=2, method="ft", base=1, labels=0, labels_digest="", held_out=[], at=1.0)
        began = time.perf_counter()
        sets.move(project, 2, "trained", at=2.0, checkpoint="free")
        while sets.get(project, 2).state == "embedding":
            embed.embed_version(made, project, 2, "worker")
        renewed = time.perf_counter() - began
        assert len(made.features.ids(project, 1)) == len(made.features.ids(project, 2)) == count
        state.projects.remove(project)
        state.close()
    return live, renewed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--database-url", default="")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    print(f"{'tasks':>9}  {'live, s':>9}  {'renewal, s':>10}")
    before: tuple[float, float] | None = None
    for count in given.tasks:
        live, renewed = measure(count, given.database_url)
        grown = "" if before is None else f"   grown {live / before[0]:.1f} and {renewed / before[1]:.1f} times"
        print(f"{count:9}  {live:9.1f}  {renewed:10.1f}{grown}", flush=True)
        before = (live, renewed)


if __name__ == "__main__":
    main()

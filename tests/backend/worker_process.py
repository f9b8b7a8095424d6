"""A worker process for tests: `python -m tests.backend.worker_process REDIS_URL FOLDER [--burst] [--alive=SECONDS]`.

Its jobs write what they do into FOLDER/log, a word a line; `slow` waits until FOLDER/go exists.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, cast

from backend.adapters.queue import running
from backend.adapters.queue.jobs import RqJobs
from backend.adapters.state import open_state
from backend.core.errors import UserError
from backend.core.services import Options, Services
from backend.worker import context, jobs
from backend.worker.runtime import run_worker
from tests.fakes import FakeFeatures, FakeLabelStudio, FixedClock


def main(redis_url: str, folder: Path, burst: bool) -> None:
    def say(word: str) -> None:
        with (folder / "log").open("a") as log:
            log.write(word + "\n")

    def quick(word: str) -> None:
        say(word)

    def broken() -> None:
        say("broken")
        raise UserError("the label config has no Choices")

    def slow() -> None:
        say("begun")
        for done in range(6000):
            if (folder / "go").exists():
                break
            context.services().jobs.progress(done, 6000)
            time.sleep(0.01)
        say(f"done by {context.owner()}")

    cast("dict[str, Any]", jobs.JOBS).update(quick=quick, embed=quick, broken=broken, slow=slow)

    def services() -> Services:
        state = open_state(f"sqlite:///{folder}/state.db")
        return Services(
            state.projects,
            state.tasks,
            state.rankings,
            FakeFeatures(),
            RqJobs(redis_url),
            FakeLabelStudio(),
            FixedClock(),
            state.feature_sets,
            cast("Any", None),
            cast("Any", None),
            cast("Any", None),
            cast("Any", None),
            Options(),
        )

    run_worker(services, redis_url, burst=burst, name="test")
    say("left")
    if "torch" in sys.modules:
        say("torch was imported")


if __name__ == "__main__":
    for option in sys.argv[3:]:
        if option.startswith("--alive="):
            running.ALIVE_SECONDS = int(option.removeprefix("--alive="))
    main(sys.argv[1], Path(sys.argv[2]), "--burst" in sys.argv)

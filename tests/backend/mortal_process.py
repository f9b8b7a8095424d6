"""A process for tests that embeds: `python -m tests.backend.mortal_process DATABASE_URL PROJECT TASK VERSION`.

It kills itself with signal 9 when it comes to image TASK; it ends with 0 when the feature version lacks nothing.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any, cast

from backend.adapters.state import open_state
from backend.core.embedding import embed
from backend.core.services import Options, Services
from backend.wiring import SystemClock
from tests.fakes import FakeEmbedder, FakeFeatures, FakeJobs, FakeLabelStudio


def main(database_url: str, project: int, deadly: int, version: int) -> None:
    state = open_state(database_url)
    embedder = FakeEmbedder(kills=lambda task: task == deadly and bool(os.kill(os.getpid(), signal.SIGKILL)))
    services = Services(
        state.projects,
        state.tasks,
        state.rankings,
        FakeFeatures(),
        FakeJobs(),
        FakeLabelStudio(),
        SystemClock(),
        state.feature_sets,
        lambda checkpoint: embedder,
        cast("Any", None),
        lambda: False,
        cast("Any", None),
        Options(shard_size=16, chunk_size=4, lease=3.0),
    )
    owner = f"mortal-{os.getpid()}"
    while services.tasks.waiting(project, version, 1):
        if version == 1:
            embed.embed(services, project, owner)
        else:
            embed.embed_version(services, project, version, owner)
        time.sleep(0.05)
    state.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))

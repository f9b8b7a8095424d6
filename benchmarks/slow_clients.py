"""How fast the web process answers while clients hang that never finish a request or never read, and when they are cut.

    python -m benchmarks.slow_clients [--clients 200]

The real web process with a real Valkey, on 127.0.0.1. Wanted: /health below 1,000 ms and a webhook below 200 ms
in the slowest case; a request that is not there within REQUEST_SECONDS (20) is cut, a silent connection after 5 s.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from backend.adapters.state import open_state
from backend.core.project.ourselves import SECRET_HEADER
from tests.backend.requests import CREATED
from tests.harness.labelqueue import RealLabelQueue
from tests.harness.slow_clients import DEAF, SlowClients, answer_ms, fill
from tests.harness.valkey import Valkey
from tests.harness.waiting import wait_for

TIMES = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=200)
    count = parser.parse_args().clients
    with tempfile.TemporaryDirectory(prefix="slow-") as folder:
        (Path(folder) / "valkey").mkdir()
        with (
            Valkey(Path(folder) / "valkey") as valkey,
            RealLabelQueue(Path(folder) / "home", "http://127.0.0.1:1", "x", valkey.url) as ours,
        ):
            ours.start_web()
            state = open_state(f"sqlite:///{ours.home}/labelqueue.sqlite")
            secret = {SECRET_HEADER: state.projects.secret("webhook")}
            fill(state)
            state.close()
            print("| ms: median, 95%, slowest | /health | webhook |\n|---|---|---|")
            _row("no other client", ours.port, secret)
            _slow(f"{count} slow clients", SlowClients(ours.port, count), ours.port, secret)
            _slow("16 that read nothing", SlowClients(ours.port, 16, tuple(DEAF)), ours.port, secret)


def _slow(what: str, slow: SlowClients, port: int, secret: dict[str, str]) -> None:
    with slow:
        _row(what, port, secret)
        wait_for(lambda: not slow.open, 60, what="the end of all slow clients")
        for kind, seconds in slow.cut_after().items():
            print(f"| {kind}: cut after | {seconds:.1f} s | |")


def _row(what: str, port: int, secret: dict[str, str]) -> None:
    found = [answer_ms(port, "/health", times=TIMES), answer_ms(port, "/webhook", CREATED, secret, times=TIMES)]
    cells = [" / ".join(f"{value:.0f}" for value in np.quantile(times, [0.5, 0.95, 1])) for times in found]
    print(f"| {what} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()

"""Our own processes as an operator runs them: web, workers, the command line; killed and started again at will."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from scripts.label_studio_server import ROOT, free_port
from tests.harness.waiting import wait_for

COMMAND = (sys.executable, "-P", "-c", "from backend.cli.main import main; main()")
OUTDOORS = ("LABEL_STUDIO", "LABELQUEUE", "BASIC_AUTH", "REDIS_URL", "DATABASE_URL", "STORAGE_URL", "PUBLIC_URL")
FAST: Mapping[str, str] = {
    "RECONCILE_SECONDS": "3",
    "MIN_INTERVAL": "0.2",
    "IMAGE_SIZE": "64",
    "LOG_FORMAT": "json",
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
}


@dataclass
class RealLabelQueue:
    """One installation: a home folder, a web process and any number of workers. `settings` are environment names.

    Nothing runs until it is started; leaving it stops what runs.
    """

    home: Path
    label_studio_url: str
    token: str
    redis_url: str
    settings: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.web: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(OUTDOORS)}
        return {
            **clean,
            **FAST,
            "LABELQUEUE_HOME": str(self.home),
            "LABEL_STUDIO_URL": self.label_studio_url,
            "LABEL_STUDIO_API_KEY": self.token,
            "REDIS_URL": self.redis_url,
            "PORT": str(self.port),
            "PYTHONPATH": str(ROOT),
            **self.settings,
        }

    def log(self, name: str) -> Path:
        return self.home / f"{name}.log"

    def tail(self, lines: int = 25) -> str:
        """The last lines of all logs, for a failing test."""
        logs = sorted(self.home.glob("*.log"))
        return "\n".join(
            f"--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) for path in logs
        )

    def spawn(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start `labelqueue ARGUMENTS`; it dies with us, its output goes to `<name>.log`."""
        guard = [found, "--pdeathsig", "KILL"] if (found := shutil.which("setpriv")) else []
        with self.log(name).open("ab") as log:
            return subprocess.Popen(
                [*guard, *COMMAND, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment,
                cwd=self.home,
                start_new_session=True,
            )

    def start(self, workers: int = 1) -> None:
        self.start_web()
        for _ in range(workers):
            self.start_worker()

    def start_web(self) -> None:
        self.web = self.spawn("web", "serve")
        wait_for(self._healthy, 60, what="the web process", tell=self.tail)

    def _healthy(self) -> bool:
        assert self.web is not None
        assert self.web.poll() is None, f"the web process ended with {self.web.returncode}\n{self.tail()}"
        try:
            return httpx.get(f"{self.url}/health", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def start_worker(self) -> subprocess.Popen[bytes]:
        worker = self.spawn(f"worker-{len(self.workers)}", "worker")
        self.workers.append(worker)
        return worker

    def kill9_workers(self) -> None:
        """SIGKILL every worker with its children, as the kernel does when memory runs out."""
        for worker in self.workers:
            _end(worker, signal.SIGKILL)
        self.workers.clear()

    def kill9_worker(self, number: int) -> None:
        """SIGKILL one worker with its children; another may be started in its place."""
        _end(self.workers[number], signal.SIGKILL)

    def replace_worker(self, number: int) -> None:
        """Start a worker in the place of one that ended."""
        self.workers[number] = self.spawn(f"worker-{number}", "worker")

    def kill9_web(self) -> None:
        assert self.web is not None
        _end(self.web, signal.SIGKILL)
        self.web = None

    def stop_workers(self) -> None:
        for worker in self.workers:
            _end(worker, signal.SIGTERM)
        self.workers.clear()

    def stop(self) -> None:
        self.stop_workers()
        if self.web is not None:
            _end(self.web, signal.SIGTERM)
            self.web = None

    def __enter__(self) -> RealLabelQueue:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def run(self, *arguments: object, ok: bool = True) -> subprocess.CompletedProcess[str]:
        """`labelqueue ARGUMENTS` to its end."""
        command: Sequence[str] = [*COMMAND, *(str(argument) for argument in arguments)]
        done = subprocess.run(
            command, capture_output=True, text=True, env=self.environment, cwd=self.home, timeout=180, check=False
        )
        said = (
            f"labelqueue {' '.join(command[len(COMMAND) :])} ended with {done.returncode}\n{done.stdout}{done.stderr}"
        )
        assert (done.returncode == 0) == ok, f"{said}\n{self.tail()}"
        return done

    def json(self, *arguments: object) -> Any:
        return json.loads(self.run(*arguments, "--json").stdout)


def _end(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    """End a process with its group; SIGTERM turns into SIGKILL after 20 s."""
    if process.poll() is None:
        if how is signal.SIGTERM:
            process.send_signal(how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)

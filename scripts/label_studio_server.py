"""Start a real Label Studio on this machine: for the demo, the tests and the benchmarks.

Label Studio lives in an environment of its own (`.venv-ls` beside this project, or the Python that
LABELQUEUE_LS_PYTHON names). Its first start migrates a database for half a minute, so a migrated data folder is kept as
a template in `.cache/` and copied for each new server, which then starts in about 3 s.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EMAIL = "admin@labelqueue.local"
PASSWORD = "labelqueue"
TOKEN = "labelqueue-demo-token-0123456789abcdef01"
TEMPLATE_LAYOUT = 1  # raise it when what is in a template changes


class LabelStudioStartError(RuntimeError):
    """Label Studio is not installed or did not come up; the text ends with its log."""


def label_studio_python() -> Path:
    """The Python that has label-studio installed."""
    python = Path(os.environ.get("LABELQUEUE_LS_PYTHON") or ROOT / ".venv-ls" / "bin" / "python")
    if not python.with_name("label-studio").exists():
        raise LabelStudioStartError(
            f"no label-studio beside {python}; make its environment with `make label-studio`, "
            "or set LABELQUEUE_LS_PYTHON to the Python that has it"
        )
    return python


def label_studio_version(python: Path | None = None) -> str:
    """Version of the installed label-studio."""
    command = [
        str(python or label_studio_python()),
        "-c",
        "import importlib.metadata as m;print(m.version('label-studio'))",
    ]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def template(cache: Path = ROOT / ".cache") -> Path:
    """The migrated data folder with one user, made at the first call (about 30 s); safe with parallel callers."""
    folder = cache / f"ls-template-{label_studio_version()}-{TEMPLATE_LAYOUT}"
    with _locked(cache / f"{folder.name}.lock"):
        if not folder.exists():
            unfinished = cache / f"{folder.name}.part"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            server = LabelStudioServer(unfinished, from_template=False, limit=300)
            server.start()
            server.stop()
            server.log.unlink(missing_ok=True)
            unfinished.rename(folder)
    return folder


@dataclass
class LabelStudioServer:
    """One Label Studio process on SQLite. `data` is made from the template unless it holds a database already.

    `files` is the root of local-files serving. The token of the first user (`EMAIL`, `PASSWORD`) is `TOKEN`, of the
    legacy kind, which the template's organization allows beside personal access tokens. Another password or token
    needs `from_template=False`: they are set when the database is made.
    """

    data: Path
    files: Path | None = None
    port: int = 0  # 0: a free one, kept over restarts
    log: Path = Path()
    environment: Mapping[str, str] = field(default_factory=dict)  # on top of the quiet local defaults
    from_template: bool = True
    limit: float = 120.0  # seconds to wait for /health
    password: str = PASSWORD
    token: str = TOKEN
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.data = Path(self.data).resolve()
        self.files = Path(self.files).resolve() if self.files else self.data / "files"
        self.port = self.port or free_port()
        if self.log == Path():
            self.log = self.data / "label-studio.log"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start and wait until /health answers; raises `LabelStudioStartError` with the log's tail."""
        python = label_studio_python()
        if self.from_template and not (self.data / "label_studio.sqlite3").exists():
            shutil.copytree(template(), self.data, dirs_exist_ok=True)
        self.data.mkdir(parents=True, exist_ok=True)
        assert self.files is not None
        self.files.mkdir(parents=True, exist_ok=True)
        command = [str(python), str(python.with_name("label-studio")), "start", "--no-browser"]
        command += ["--username", EMAIL, "--enable-legacy-api-token"]
        command += ["--port", str(self.port), "--internal-host", "127.0.0.1", "--data-dir", str(self.data)]
        if setpriv := shutil.which("setpriv"):  # a killed test run must not leave a server behind
            command = [setpriv, "--pdeathsig", "KILL", *command]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment(),
                cwd=self.data,
                start_new_session=True,  # Ctrl-C in the terminal is for the parent, which then stops us in order
            )
        self._wait()

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "LABEL_STUDIO_BASE_DATA_DIR": str(self.data),
            "LABEL_STUDIO_PASSWORD": self.password,  # not arguments: any user of the machine can read those
            "LABEL_STUDIO_USER_TOKEN": self.token,
            "LABEL_STUDIO_HOST": self.url,
            "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
            "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(self.files),
            "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
            "ML_BLOCK_LOCAL_IP": "false",  # both are needed, or LS refuses a backend on 127.0.0.1
            "SSRF_PROTECTION_ENABLED": "false",
            "DJANGO_DB": "sqlite",
            "collect_analytics": "false",
            "LATEST_VERSION_CHECK": "false",
            "SENTRY_DSN": "",
            "FRONTEND_SENTRY_DSN": "",
            **self.environment,
        }

    def _wait(self) -> None:
        assert self.process is not None
        end = time.monotonic() + self.limit
        while not self.healthy():
            if self.process.poll() is not None:
                raise LabelStudioStartError(
                    f"label-studio ended with {self.process.returncode}; its log:\n{self.tail()}"
                )
            if time.monotonic() > end:
                self.kill9()
                raise LabelStudioStartError(
                    f"label-studio was not ready in {self.limit:.0f} s; its log:\n{self.tail()}"
                )
            time.sleep(0.1)

    def healthy(self) -> bool:
        """Whether /health answers 200 now."""
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def tail(self, lines: int = 30) -> str:
        """The last lines of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def stop(self) -> None:
        """End it in order (SIGTERM, then SIGKILL after 10 s); nothing happens if it does not run."""
        self._end(signal.SIGTERM)

    def kill9(self) -> None:
        """Kill it at once, as a crash would."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
        self.process = None

    def restart(self) -> None:
        """Start again on the same port and data."""
        self.stop()
        self.start()

    def __enter__(self) -> LabelStudioServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

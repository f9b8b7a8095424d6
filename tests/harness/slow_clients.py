"""Clients that hold a connection: four kinds never finish a request, two never read an answer; to 127.0.0.1 only."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType

from backend.adapters.state import State
from backend.core.domain import LabelConfig, Target

HEADER = b"POST /webhook HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n"
KINDS: Mapping[str, bytes] = {
    "half a header": HEADER[:40],
    "no body": HEADER + b"\r\n",
    "a byte a second": HEADER + b"\r\n{",
    "silent": b"",
}
ROWS = 10_000
LARGE = f"GET /api/projects/5/tasks?limit={ROWS} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
DEAF: Mapping[str, bytes] = {"reads nothing": LARGE, "reads nothing, asks sixty times at once": 60 * LARGE}
"""After `fill`, answers of 1.6 MB that nobody fetches; both kinds go on asking."""


def fill(state: State) -> None:
    """A project with as many tasks as `LARGE` asks for."""
    target = Target("one", "choices", "choice", "image", ("cat", "dog"), suggests=True)
    config = LabelConfig("image", target)
    project = state.projects.add(5, "5.1", title="large", label_config="<View/>", config=config, at=0.0)
    state.tasks.upsert(project.id, [(task, f"https://example.org/images/{task}.jpg") for task in range(1, ROWS + 1)])


@dataclass
class _Client:
    kind: str
    connection: socket.socket
    began: float
    ended: float | None = None

    def look(self, drip: bool) -> None:
        try:
            if self.kind in DEAF:
                self.connection.send(LARGE)
                return
            if self.connection.recv(4096):
                return
            self.ended = time.monotonic()
        except BlockingIOError:
            pass
        except OSError:
            self.ended = time.monotonic()
        if drip and self.ended is None and self.kind == "a byte a second":
            try:
                self.connection.send(b" ")
            except OSError:
                self.ended = time.monotonic()


class SlowClients:
    """`count` of them in equal parts of the kinds, at `port`, from entering to leaving."""

    def __init__(self, port: int, count: int, kinds: Sequence[str] = tuple(KINDS)) -> None:
        self._port, self._count, self._kinds = port, count, kinds
        self._clients: list[_Client] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> SlowClients:
        for number in range(self._count):
            kind = self._kinds[number % len(self._kinds)]
            connection = socket.socket()
            connection.settimeout(10)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # so that few answers fill it
            connection.connect(("127.0.0.1", self._port))
            connection.sendall({**KINDS, **DEAF}[kind])
            connection.setblocking(False)
            self._clients.append(_Client(kind, connection, time.monotonic()))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        for client in self._clients:
            client.connection.close()

    @property
    def open(self) -> int:
        return sum(client.ended is None for client in self._clients)

    def cut_after(self) -> dict[str, float]:
        """Kind -> seconds after which the last one was cut, of the kinds that are cut wholly."""
        seconds = defaultdict(list)
        for client in self._clients:
            seconds[client.kind].append(client.ended - client.began if client.ended is not None else None)
        return {
            kind: max(all_cut)
            for kind, found in seconds.items()
            if len(all_cut := [each for each in found if each is not None]) == len(found)
        }

    def _run(self) -> None:
        last = time.monotonic()
        while not self._done.wait(0.1):
            drip = time.monotonic() - last > 1
            last = time.monotonic() if drip else last
            for client in self._clients:
                if client.ended is None:
                    client.look(drip)


def answer_ms(
    port: int, path: str, body: object = None, headers: Mapping[str, str] = {}, times: int = 20
) -> list[float]:
    """Milliseconds of `times` requests one after the other, each on a connection of its own; all must succeed."""
    found = []
    for _ in range(times):
        begin = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        if body is None:
            connection.request("GET", path)
        else:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json", **headers})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        assert answer.status < 300, answer.status
        found.append(1000 * (time.perf_counter() - begin))
    return found

"""Clients that hold a connection without finishing a request, in the four ways there are; to 127.0.0.1 only."""

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

HEADER = b"POST /webhook HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n"
KINDS: Mapping[str, bytes] = {
    "half a header": HEADER[:40],
    "no body": HEADER + b"\r\n",
    "a byte a second": HEADER + b"\r\n{",
    "silent": b"",
}


@dataclass
class _Client:
    kind: str
    connection: socket.socket
    began: float
    ended: float | None = None

    def look(self, drip: bool) -> None:
        try:
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
            connection = socket.create_connection(("127.0.0.1", self._port), timeout=10)
            connection.sendall(KINDS[kind])
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

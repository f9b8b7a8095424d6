"""waitress with deadlines: a whole request within a time, whoever sends it, however it trickles.

waitress itself only cuts connections on which nothing moves, so that a byte a second holds one for ever. Three of its
classes are extended where they offer it: when a connection is cut, how large a body may be, and errors as JSON.
"""

from __future__ import annotations

import copy
import json
import signal
import socket
import time
from types import FrameType

from flask import Flask
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask
from werkzeug.wrappers import Request

LOOK_SECONDS = 1.0  # between looks for connections to cut
IDLE_SECONDS = 5.0  # that a connection may stay silent, before its first request and between two
GRACE_SECONDS = 5.0  # after SIGTERM for requests under way; Docker kills after 10
MOST_WAITING = 300  # connections that have not sent a whole request; with their bodies' files well below 1,024
LARGEST_HEADER = 32 * 2**10
LARGEST_IN_MEMORY = 2**18  # of a body, while it comes in; the rest goes to a temporary file


class _Parser(HTTPRequestParser):  # type: ignore[misc]
    """Asks, once it has the headers, how large this request's body may be."""

    adj: Adjustments

    def received(self, data: bytes) -> int:
        """Takes in one request; what comes before its answer is passed over, and the connection ends after it.

        HTTP allows that (RFC 9112, 9.3.2). Answers to many requests of one client that reads none would fill the
        connection's buffer, and waitress holds a thread until there is room in it.
        A refused request gets no "100 Continue", after which waitress would read the body all the same.
        """
        consumed: int = super().received(data)
        if self.error is not None:
            self.expect_continue = False
        if self.completed and not self.empty and data[consumed:].strip():
            self.headers["CONNECTION"] = "close"
            return len(data)
        return consumed

    def parse_header(self, header_plus: bytes) -> None:
        try:
            super().parse_header(header_plus)
        except ValueError as error:
            raise ParsingError("its address or the length of its body cannot be read") from error
        headers = {f"HTTP_{name}": value for name, value in self.headers.items()}
        request = Request({"REQUEST_METHOD": self.command, "PATH_INFO": self.path, **headers})
        self.adj = copy.copy(self.adj)
        self.adj.max_request_body_size = 1 + self.adj.guard.most_bytes(request)


class _ErrorTask(ErrorTask):  # type: ignore[misc]
    """What never reached the application is told as the application tells it."""

    def execute(self) -> None:
        error = self.request.error
        body = json.dumps({"error": f"{error.reason.lower()}: {error.body}"}).encode()
        self.status = f"{error.code} {error.reason}"
        self.response_headers.append(("Content-Type", "application/json"))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class _Connection(HTTPChannel):  # type: ignore[misc]
    """`since`: when it was opened or last answered; the next request must be in, or the answer be fetched, in time.

    No thread waits for a client: there is one request at a time, its answer is one piece, and waitress takes in the
    next one only when all of it is fetched.
    """

    parser_class = _Parser
    error_task_class = _ErrorTask

    def __init__(self, *arguments: object, **named: object) -> None:
        super().__init__(*arguments, **named)
        self.since = time.monotonic()

    def service(self) -> None:
        super().service()
        self.since = time.monotonic()

    @property
    def busy(self) -> bool:
        """Whether a request is being answered, or its answer fetched."""
        return bool(self.requests or self.total_outbufs_len)


class Server(TcpWSGIServer):  # type: ignore[misc]
    """Answers at `listener` in `threads` threads; a request must be in, and its answer out, within `seconds` each."""

    channel_class = _Connection

    def __init__(self, app: Flask, listener: socket.socket, *, threads: int, seconds: float) -> None:
        limits = Adjustments(
            sockets=[listener],
            threads=threads,
            ident="",
            asyncore_use_poll=True,
            cleanup_interval=LOOK_SECONDS,
            connection_limit=2 * MOST_WAITING,  # beyond: they wait in the kernel
            max_request_header_size=LARGEST_HEADER,
            inbuf_overflow=LARGEST_IN_MEMORY,
        )
        limits.guard = app.extensions["guard"]
        self._seconds, self._stopping = seconds, False
        about = (listener.family, listener.type, listener.proto, listener.getsockname())
        super().__init__(app, _sock=listener, adj=limits, sockinfo=about, bind_socket=False)

    def run(self) -> None:
        """Until SIGTERM or SIGINT, which are taken over; then `GRACE_SECONDS` for what is being answered."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        while not self._stopping:
            self._turn()
        wasyncore.dispatcher.close(self)  # the listening socket only
        end = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < end and any(each.busy for each in self.active_channels.values()):
            self._turn()
        self.task_dispatcher.shutdown(timeout=1)
        wasyncore.close_all(self._map)

    def _turn(self) -> None:
        wasyncore.loop(timeout=LOOK_SECONDS, use_poll=True, map=self._map, count=1)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True
        self.pull_trigger()

    def maintenance(self, now: float) -> None:
        """Cut what takes too long; called every `LOOK_SECONDS`."""
        for each in list(self.active_channels.values()):
            silent = each.request is None and not each.busy
            over = time.monotonic() - each.since > (min(IDLE_SECONDS, self._seconds) if silent else self._seconds)
            if over and not each.requests:
                each.handle_close()  # not by `will_close`: that waits for a client that reads

    def handle_accept(self) -> None:
        """Take a connection in; at the limit the one that has waited longest makes room."""
        waiting = [each for each in self.active_channels.values() if not (each.busy or each.will_close)]
        if len(waiting) >= MOST_WAITING:
            min(waiting, key=lambda each: each.since).will_close = True
        super().handle_accept()

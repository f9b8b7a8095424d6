"""A server of images that remembers who asked, and the source under test."""

from __future__ import annotations

import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from backend.adapters.images.source import ImageSource

PICTURE = b"\x89PNG any bytes"
TOKEN = {"Authorization": "Token secret"}


class Handler(BaseHTTPRequestHandler):
    """Answers by path; every request is kept as (path, Authorization)."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:  # noqa: C901  (an answer a path)
        self.server.seen.append((self.path, self.headers.get("Authorization")))
        path = self.path.removeprefix("/label-studio")
        if "upload/1/private.png" in path and self.headers.get("Authorization") != self.server.token:
            return self.answer(401)
        if re.match(r"/(tasks|projects)/\d+/(resolve|presign)/", path) and self.server.leads:
            leads = self.server.leads
            status, said = leads.pop(0) if len(leads) > 1 else leads[0]
            return self.answer(status, location=said)
        if path.startswith("/pictures/") and self.server.refusal[0] != 200:
            return self.answer(self.server.refusal[0], self.server.refusal[1])
        if path.startswith("/data/upload/1/go?"):
            return self.answer(302, location=path.split("?", 1)[1])
        if path == "/data/upload/1/missing.png":
            return self.answer(404)
        if path == "/data/upload/1/empty.png":
            return self.answer(200)
        if path == "/data/upload/1/flaky.png" and self.server.failures:
            self.server.failures -= 1
            return self.answer(503)
        if path.startswith("/data/upload/1/drip"):
            return self.drip(header="header" in path)
        if path == "/data/upload/1/endless.png":
            return self.endless()
        if path == "/data/upload/1/cut.png":
            return self.answer(200, PICTURE, length=1000)
        if path == "/data/upload/1/huge.png":
            return self.answer(200, b"", length=10**12)
        if path.startswith("/data/upload/1/length?"):
            return self.answer(200, PICTURE, length=unquote(path.split("?", 1)[1], "latin-1"))
        if path.startswith("/data/upload/1/lead?"):
            return self.answer(302, location="/a.png", length=unquote(path.split("?", 1)[1], "latin-1"))
        return self.answer(200, PICTURE)

    def answer(self, status: int, body: bytes = b"", location: str = "", length: int | str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(body)
        if length is not None:
            self.close_connection = True

    def drip(self, header: bool) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: " if header else b"HTTP/1.1 200 OK\r\n\r\n")
        self.close_connection = True
        for _ in range(200):
            try:
                self.wfile.write(b"x")
            except OSError:
                return
            time.sleep(0.05)

    def endless(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        self.close_connection = True
        for _ in range(1000):
            try:
                self.wfile.write(b"x" * 65536)
            except OSError:
                return

    def log_message(self, *_: Any) -> None:
        """Quiet."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[str, str | None]] = []
        self.failures = 0
        self.leads: list[
            tuple[int, str]
        ] = []  # answers to resolving addresses: status, Location; the last one for ever
        self.refusal = (200, b"")  # what a store says to everybody
        self.token = TOKEN["Authorization"]
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def handle_error(self, *_: Any) -> None:
        """Clients that hang up are what some tests are about."""


def source(studio: Server, **options: Any) -> ImageSource:
    return ImageSource(label_studio_url=studio.url, auth_headers=lambda: TOKEN, **options)

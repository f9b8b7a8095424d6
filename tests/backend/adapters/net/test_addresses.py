"""(10-C5) Whether it is us at an address, asked over real sockets; whatever else answers there does no harm."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from werkzeug.serving import make_server

from backend.adapters.net.addresses import HttpAddresses
from backend.core.project.connect import connect
from backend.core.project.doctor import diagnose
from backend.core.project.ourselves import SECRET_HEADER
from backend.core.services import Options
from backend.core.tasks.sync import reconcile
from backend.local.reach import reach
from backend.web import create_app
from tests.backend.requests import settings
from tests.backend.world import LS_ID, World


@contextmanager
def serving(server: ThreadingHTTPServer | object) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever)  # type: ignore[attr-defined]
    thread.start()
    try:
        yield
    finally:
        server.shutdown()  # type: ignore[attr-defined]
        thread.join()
        server.server_close()  # type: ignore[attr-defined]


@contextmanager
def web(world: World, tmp_path: Path, **given: str) -> Iterator[int]:
    """The port of the web process of `world`."""
    server = make_server("127.0.0.1", 0, create_app(world.services, settings(tmp_path, **given)), threaded=True)
    with serving(server):
        yield server.server_port


@contextmanager
def other(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[tuple[str, list[str]]]:
    """Some other program, and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            answer(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    with serving(server):
        yield f"http://127.0.0.1:{server.server_port}", asked


def addresses(world: World, timeout: float = 5.0) -> HttpAddresses:
    return HttpAddresses(lambda: world.services.projects.secret("instance"), timeout=timeout)


def test_we_are_known_by_every_name_and_others_are_not_taken_for_us(world: World, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    theirs = World(tmp_path / "b")
    with web(world, tmp_path) as port, web(theirs, tmp_path) as second:
        asks = addresses(world)
        assert [
            asks.ours(f"http://{name}:{port}{end}") for name in ("127.0.0.1", "localhost") for end in ("", "/")
        ] == [True] * 4
        assert asks.ours(f"http://localhost:{second}") is False
        assert addresses(theirs).ours(f"http://localhost:{second}") is True


def test_a_password_is_not_needed_to_be_known(tmp_path: Path) -> None:
    world = World(tmp_path, options=Options(basic_auth=("ls", "pw")))
    with web(world, tmp_path, basic_auth_user="ls", basic_auth_pass="pw") as port:
        assert addresses(world).ours(f"http://localhost:{port}") is True


def says(body: bytes, status: int = 200, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (b'{"status": "UP", "model_class": "SamModel"}', 200, False),
        (b'{"status": "UP", "model_class": "LabelQueue", "proof": "00"}', 200, False),
        (b'{"status": "UP", "model_class": "LabelQueue", "proof": "\xc3\xa9"}', 200, False),
        (b'{"status": "UP", "model_class": "LabelQueue"}', 200, None),  # an older version
        (b'{"status": "UP", "model_class": "LabelQueueModel"}', 200, None),  # in label-studio-ml
        (b'{"status": "UP", "model_dir": "/m", "v2": "false"}', 200, None),  # in label-studio-ml 1.0.9
        (b"<html>", 200, None),
        (b"[" * 9_999, 200, None),
        (b'{"x": "' + b"x" * 100_000, 200, None),
        (b"\xff\xfe", 200, None),
        (b"null", 200, None),
        (b"{}", 502, None),
    ],
)
def test_what_is_no_proof_does_not_count(world: World, body: bytes, status: int, told: bool | None) -> None:
    with other(says(body, status)) as (url, _):
        assert addresses(world).ours(url) is told


def test_a_proof_cannot_be_used_again(world: World, tmp_path: Path) -> None:
    with web(world, tmp_path) as port:
        import urllib.request

        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health?challenge={'0' * 32}") as answer:
            heard = answer.read()
    assert "proof" in json.loads(heard)
    with other(says(heard)) as (url, _):
        assert addresses(world).ours(url) is False


def test_redirects_are_not_followed(world: World, tmp_path: Path) -> None:
    with web(world, tmp_path) as port, other(says(b"", 302, Location=f"http://127.0.0.1:{port}/health")) as (url, _):
        assert addresses(world).ours(url) is None


@pytest.mark.parametrize(
    "url",
    [
        *("", "x", "file:///etc/passwd", "ftp://127.0.0.1", "http://", "http://[", "http://a b", "http://\u0660"),
        *("http://169.254.169.254", "http://[fd00:ec2::254]", "http://100.100.100.200", "http://0.0.0.0:1"),
        *("http://127.0.0.1:99999", "http://no-such-host.invalid", "http://127.0.0.1:1"),
    ],
)
def test_odd_silent_and_metadata_addresses_are_nobody(world: World, url: str) -> None:
    assert addresses(world).ours(url) is None


def test_a_name_that_leads_to_metadata_is_not_asked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even if another of its addresses is ours."""
    with other(says(b"{}")) as (url, asked):
        port = int(url.rsplit(":", 1)[1])
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", 80)),
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        assert addresses(world).ours(f"http://metadata.example:{port}") is None
        assert asked == []


def test_one_that_never_answers_is_nobody(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert addresses(world, timeout=0.2).ours(f"http://127.0.0.1:{silent.getsockname()[1]}") is None


def test_localhost_typed_in_label_studio_is_us_for_doctor_connect_and_the_reconciler(tmp_path: Path) -> None:
    """(10-C5) PUBLIC_URL says 127.0.0.1: doctor failed, and a second webhook was made while the first got 401s."""
    world = World(tmp_path)
    world.ls.add_project(LS_ID, 6)
    with ExitStack() as stack:
        port = stack.enter_context(web(world, tmp_path))
        services = replace(
            world.services,
            options=replace(world.options, public_url=f"http://127.0.0.1:{port}"),
            addresses=addresses(world),
        )
        typed = f"http://localhost:{port}"
        world.ls.add_backend(LS_ID, typed, "my model", auth=None, extra_params={})
        project = connect(services, LS_ID).project
        reconcile(services, project.id, full=True)
        said = diagnose(services, reach=reach)
    assert [row.url for row in world.ls.rows[LS_ID]] == [typed]
    secret = {SECRET_HEADER: services.projects.secret("webhook")}
    assert [(hook.url, dict(hook.headers)) for hook in world.ls.hooks[LS_ID]] == [(f"{typed}/webhook", secret)]
    wrong = [item.what for item in said if item.level != "ok"]
    assert not any("models" in what or "webhook" in what or "web process" in what for what in wrong), wrong

"""References are fetched by every route of Label Studio, and hostile ones end in a reason."""

from __future__ import annotations

import base64
import os
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from backend.adapters import images_net
from backend.adapters.images import ImageSource
from backend.adapters.images_net import Forbidden, judge
from backend.core.errors import BadImage, BadSetting, LabelStudioDown, LabelStudioRefused

PICTURE = b"\x89PNG any bytes"
TOKEN = {"Authorization": "Token secret"}


class Handler(BaseHTTPRequestHandler):
    """Answers by path; every request is kept as (path, Authorization)."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.server.seen.append((self.path, self.headers.get("Authorization")))
        path = self.path.removeprefix("/label-studio")
        if "upload/1/private.png" in path and self.headers.get("Authorization") != self.server.token:
            return self.answer(401)
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
        return self.answer(200, PICTURE)

    def answer(self, status: int, body: bytes = b"", location: str = "", length: int | None = None) -> None:
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
        self.token = TOKEN["Authorization"]
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def handle_error(self, *_: Any) -> None:
        """Clients that hang up are what some tests are about."""


@pytest.fixture
def studio() -> Iterator[Server]:
    with Server() as server:
        yield server
        server.shutdown()


@pytest.fixture
def other() -> Iterator[Server]:
    with Server() as server:
        yield server
        server.shutdown()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.adapters.images.WAITS", (0.01, 0.02))


def source(studio: Server, **options: Any) -> ImageSource:
    return ImageSource(label_studio_url=studio.url, auth_headers=lambda: TOKEN, **options)


def test_an_upload_is_fetched_with_the_token(studio: Server) -> None:
    assert source(studio).fetch("/data/upload/1/private.png") == PICTURE
    assert source(studio).fetch(f"{studio.url}/data/upload/1/private.png") == PICTURE
    assert studio.seen == [("/data/upload/1/private.png", "Token secret")] * 2


@pytest.mark.parametrize("ref", ["/data/upload/1/private.png", "/label-studio/data/upload/1/private.png"])
def test_a_path_prefix_of_label_studio_is_kept_once(studio: Server, ref: str) -> None:
    images = ImageSource(label_studio_url=f"{studio.url}/label-studio/", auth_headers=lambda: TOKEN)
    assert images.fetch(ref) == PICTURE
    assert studio.seen == [("/label-studio/data/upload/1/private.png", "Token secret")]


def test_odd_names_reach_the_server_encoded(studio: Server) -> None:
    source(studio).fetch("/data/upload/1/my picture ü.png")
    assert studio.seen[0][0] == "/data/upload/1/my%20picture%20%C3%BC.png"


def test_the_token_stays_off_other_paths_and_other_hosts(studio: Server, other: Server) -> None:
    images = source(studio, allowed_hosts=[f"127.0.0.1:{other.server_port}"])
    images.fetch(f"{studio.url}/static/logo.png")
    images.fetch(f"{other.url}/a.png")
    images.fetch(f"/data/upload/1/go?{other.url}/b.png")
    assert [token for _, token in studio.seen] == [None, "Token secret"]
    assert other.seen == [("/a.png", None), ("/b.png", None)]


def test_a_host_outside_the_list_is_refused_with_the_setting(studio: Server, other: Server) -> None:
    for ref in (f"{other.url}/a.png", f"/data/upload/1/go?{other.url}/b.png"):
        with pytest.raises(BadImage, match=rf"host 127.0.0.1:{other.server_port} is not in IMAGE_HOSTS"):
            source(studio).fetch(ref)
    assert other.seen == []


def test_a_parser_trick_does_not_move_the_token(studio: Server, other: Server) -> None:
    here, there = studio.url.removeprefix("http://"), other.url.removeprefix("http://")
    for ref in (f"http://{here}\\@{there}/a", f"http://{here}@{there}/a", f"http://{here}#@{there}/", f"//{there}/a"):
        try:
            source(studio).fetch(ref)
        except BadImage:
            continue
    assert other.seen == []


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[fe80::1]/",
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "gopher:x",
    ],
)
def test_a_redirect_to_where_nobody_should_go_is_refused(studio: Server, target: str) -> None:
    with pytest.raises(BadImage):
        source(studio).fetch(f"/data/upload/1/go?{target}")
    with pytest.raises(BadImage, match=r"link-local|not an http|not a URL|IMAGE_HOSTS"):
        source(studio, allowed_hosts=["169.254.169.254", "[fe80::1]"]).fetch(f"/data/upload/1/go?{target}")


def test_redirects_that_never_end_are_given_up(studio: Server) -> None:
    loop = "/data/upload/1/go?/data/upload/1/go?"
    with pytest.raises(BadImage, match="redirects"):
        source(studio).fetch("/data/upload/1/go?" + loop * 10)


def test_a_name_that_leads_to_a_metadata_address_is_refused(studio: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {
        "rebind.example": "169.254.169.254",
        "inner.example": "10.0.0.1",
        "mapped.example": "::ffff:169.254.169.254",
    }
    real = socket.getaddrinfo

    def resolve(host: str, port: int, *rest: Any, **options: Any) -> Any:
        return real(answers.get(host, host), port, *rest, **options)

    monkeypatch.setattr(images_net.socket, "getaddrinfo", resolve)
    images = source(studio, allowed_hosts=["rebind.example", "mapped.example", "*.example"])
    for host in ("rebind.example", "mapped.example"):
        with pytest.raises(BadImage, match=r"169\.254\.169\.254 is link-local"):
            images.fetch(f"http://{host}/latest")
    with pytest.raises(BadImage, match=r"10\.0\.0\.1 is private"):
        images.fetch("http://inner.example/a.png")


def test_addresses_are_judged_by_what_they_are() -> None:
    for bad in ("169.254.169.254", "fe80::1%eth0", "0.0.0.0", "::", "224.0.0.1", "fd00:ec2::254", "64:ff9b::a9fe:a9fe"):
        with pytest.raises(Forbidden):
            judge(bad, "named")
    for private in ("127.0.0.1", "10.1.2.3", "192.168.0.1", "::1", "fd12::1", "::ffff:10.0.0.1"):
        judge(private, "named")
        with pytest.raises(Forbidden, match="private"):
            judge(private, "public")
    for public in ("8.8.8.8", "2606:4700::1111"):
        judge(public, "public")


def test_hosts_are_allowed_by_name_port_and_suffix(studio: Server) -> None:
    rules = source(studio, allowed_hosts=["Pics.org", "a.org:8080", "*.cdn.net"])._rules
    assert rules.trust("https://pics.org/x") == rules.trust("http://a.org:8080/") == "named"
    assert rules.trust("https://x.y.cdn.net/") == "public"
    for ref in (
        "http://pics.org:8080/",
        "http://a.org/",
        "http://cdn.net/",
        "http://evilcdn.net/",
        "http://pics.org.evil.net/",
    ):
        with pytest.raises(BadImage, match="IMAGE_HOSTS"):
            rules.trust(ref)
    with pytest.raises(BadSetting, match="IMAGE_HOSTS"):
        source(studio, allowed_hosts=["http://pics.org/"])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing.png", "HTTP 404 from Label Studio for /data/upload/1/missing.png"),
        ("empty.png", "0 bytes"),
        ("endless.png", "larger than the limit of 1 MiB"),
        ("huge.png", "larger than the limit of 1 MiB"),
        ("cut.png", "broke off before the end"),
        ("drip", "no complete answer within 0.4 s"),
        ("drip-header", "no complete answer within 0.4 s"),
    ],
)
def test_a_bad_answer_becomes_a_reason_and_the_next_image_is_fine(studio: Server, name: str, reason: str) -> None:
    images = source(studio, max_bytes=1 << 20, timeout=0.4)
    start = time.monotonic()
    with pytest.raises(BadImage, match=reason):
        images.fetch(f"/data/upload/1/{name}")
    assert time.monotonic() - start < 3
    assert images.fetch("/data/upload/1/good.png") == PICTURE


def test_a_server_that_is_away_for_a_moment_is_asked_again(studio: Server) -> None:
    studio.failures = 2
    assert source(studio).fetch("/data/upload/1/flaky.png") == PICTURE
    studio.failures = 99
    with pytest.raises(LabelStudioDown, match="HTTP 503"):
        source(studio).fetch("/data/upload/1/flaky.png")


def test_label_studio_away_is_no_fault_of_the_image(studio: Server) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: refused
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        images = ImageSource(label_studio_url=url, auth_headers=dict, allowed_hosts=[url[7:]])
        with pytest.raises(LabelStudioDown, match="does not answer"):
            images.fetch("/data/upload/1/a.png")
        with pytest.raises(BadImage, match="cannot connect"):
            source(studio, allowed_hosts=[url[7:]]).fetch(f"{url}/a.png")


def test_a_token_that_ran_out_is_renewed_once(studio: Server) -> None:
    tokens = iter(["Token old", "Token secret", "Token old", "Token old"])
    images = ImageSource(label_studio_url=studio.url, auth_headers=lambda: {"Authorization": next(tokens)})
    assert images.fetch("/data/upload/1/private.png") == PICTURE
    with pytest.raises(LabelStudioRefused, match="LABEL_STUDIO_API_KEY"):
        images.fetch("/data/upload/1/private.png")


@pytest.mark.parametrize(
    "ref",
    [
        "/data/upload/../../api/current-user/token",
        "/data/upload/%2e%2e/%2e%2e/api/projects",
        "/data/local-files/?d=../../etc/passwd",
        "/data/local-files/?d=a/%2e%2e/%2e%2e/etc/passwd",
        "/data/local-files/?d=..\\..\\x",
        "/api/projects/1",
        "file:///etc/passwd",
        "etc/passwd",
        "/etc/passwd",
        "javascript:alert(1)",
        "http://",
        "http://[::1",
        "http://a:99999999/",
        "http://user:pass@127.0.0.1/x.png",
        "",
        "s3://bucket/key.png",
        "gs://bucket/key.png",
        "azure-blob://c/key.png",
    ],
)
def test_references_that_are_no_images_never_reach_the_network(studio: Server, tmp_path: Path, ref: str) -> None:
    for root in (None, tmp_path):
        with pytest.raises(BadImage) as caught:
            source(studio, local_root=root).fetch(ref)
        assert 10 < len(str(caught.value)) < 250 and "pass@" not in str(caught.value)
    assert studio.seen == []


def test_local_files_are_read_below_the_root_only(studio: Server, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret.png").write_bytes(b"secret")
    (root / "a b.png").write_bytes(b"here")
    (root / "empty.png").touch()
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    os.mkfifo(root / "pipe.png")
    images = source(studio, local_root=root, max_bytes=10)
    assert images.fetch("/data/local-files/?d=a%20b.png") == images.fetch("/data/local-files/?d=/a b.png") == b"here"
    for name, reason in (
        ("link.png", "outside"),
        ("pipe.png", "not a file"),
        ("empty.png", "0 bytes"),
        ("a\0", "read"),
    ):
        with pytest.raises(BadImage, match=reason):
            images.fetch(f"/data/local-files/?d={name}")
    (root / "large.png").write_bytes(b"x" * 11)
    with pytest.raises(BadImage, match="MAX_IMAGE_MB"):
        images.fetch("/data/local-files/?d=large.png")
    assert studio.seen == []
    assert source(studio, local_root=root).fetch("/data/local-files/?d=elsewhere.png") == PICTURE
    assert studio.seen == [("/data/local-files/?d=elsewhere.png", "Token secret")]


def test_data_urls_are_decoded(studio: Server) -> None:
    text = base64.b64encode(PICTURE).decode()
    for ref in (
        f"data:image/png;base64,{text}",
        f"DATA:;base64,{text[:8]}\n{text[8:]}",
        f"data:image/png;base64,{text}".replace("=", "%3D"),
    ):
        assert source(studio).fetch(ref) == PICTURE


@pytest.mark.parametrize(
    "ref",
    [
        "data:",
        "data:image/png,raw",
        "data:;base64,???",
        "data:;base64,",
        "data:;base64,abc",
        "data:;base64," + "A" * 99,
    ],
)
def test_garbage_in_a_data_url_is_refused(studio: Server, ref: str) -> None:
    with pytest.raises(BadImage):
        source(studio, max_bytes=50).fetch(ref)


def test_signatures_in_a_url_are_not_shown(studio: Server) -> None:
    with pytest.raises(BadImage) as caught:
        source(studio, allowed_hosts=["[::]:1"]).fetch("http://[::]:1/a.png?X-Amz-Signature=secret")
    assert "secret" not in str(caught.value)

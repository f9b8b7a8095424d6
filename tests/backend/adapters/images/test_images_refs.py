"""References that are no addresses: local files, data URLs, and what is none of them."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.core.errors import BadImage
from tests.backend.image_server import PICTURE, Server, source


@pytest.fixture
def studio() -> Iterator[Server]:
    with Server() as server:
        yield server
        server.shutdown()


@pytest.mark.parametrize(
    "ref",
    [
        "/data/upload/../../api/current-user/token",
        "/data/upload/%2e%2e/%2e%2e/api/projects",
        "/data/upload/%2e%2e#.png",
        "http://localhost/data/upload/../../api/projects",
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
        "redis://host/key.png",
        "s3://bucket/\ud800.png",
        "/data/upload/1/\ud800.png",
        "//bucket/data/upload/1/a.png",
    ],
)
def test_references_that_are_no_images_never_reach_the_network(studio: Server, tmp_path: Path, ref: str) -> None:
    for root in (None, tmp_path):
        with pytest.raises(BadImage) as caught:
            source(studio, local_root=root).fetch(ref, 1)
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
    assert (
        images.fetch("/data/local-files/?d=a%20b.png", 1) == images.fetch("/data/local-files/?d=/a b.png", 1) == b"here"
    )
    for name, reason in (
        ("link.png", "outside"),
        ("pipe.png", "not a file"),
        ("empty.png", "0 bytes"),
        ("a\0", "read"),
    ):
        with pytest.raises(BadImage, match=reason):
            images.fetch(f"/data/local-files/?d={name}", 1)
    (root / "large.png").write_bytes(b"x" * 11)
    with pytest.raises(BadImage, match="MAX_IMAGE_MB"):
        images.fetch("/data/local-files/?d=large.png", 1)
    assert studio.seen == []
    assert source(studio, local_root=root).fetch("/data/local-files/?d=elsewhere.png", 1) == PICTURE
    assert studio.seen == [("/data/local-files/?d=elsewhere.png", "Token secret")]


def test_data_urls_are_decoded(studio: Server) -> None:
    text = base64.b64encode(PICTURE).decode()
    for ref in (
        f"data:image/png;base64,{text}",
        f"DATA:;base64,{text[:8]}\n{text[8:]}",
        f"data:image/png;base64,{text}".replace("=", "%3D"),
    ):
        assert source(studio).fetch(ref, 1) == PICTURE


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
        source(studio, max_bytes=50).fetch(ref, 1)


def test_signatures_in_a_url_are_not_shown(studio: Server) -> None:
    with pytest.raises(BadImage) as caught:
        source(studio, allowed_hosts=["[::]:1"]).fetch("http://[::]:1/a.png?X-Amz-Signature=secret", 1)
    assert "secret" not in str(caught.value)


HERE = "127.0.0.1:PORT"
PARTS = [
    "s3://",
    "gs://",
    "http://",
    "//",
    HERE,
    "localhost:PORT",
    "[::1]:PORT",
    "labels.example",
    "/ls",
    "/data/upload/1/",
]
PARTS += [
    "/data/local-files/?d=",
    "/tasks/7/resolve/?fileuri=",
    "..",
    "%2e%2e",
    "/",
    "\\",
    "@",
    "#",
    "?",
    "&",
    ":",
    ";",
    "[",
    "%zz",
]
PARTS += [
    "\ud800",
    "\0",
    "\n",
    " ",
    "\u202e",
    "\x1b[31m",
    "ü",
    "x" * 300,
    "a.png",
    "data:image/png;base64,",
    "http://169.254.169.254/",
]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=7))
def test_no_reference_however_strange_does_more_than_fail(parts: list[str]) -> None:
    """(10-D1, 10-C6) One bad reference costs one image, and the token goes to Label Studio's image paths only."""
    with Server() as studio:
        ref = "".join(parts).replace("PORT", str(studio.server_port))
        images = source(studio, own_address=lambda: "https://labels.example/ls", timeout=5.0)
        try:
            assert images.fetch(ref, 7) == PICTURE
        except BadImage as no:
            assert str(no).isprintable() and len(str(no)) < 400
        studio.shutdown()
    for path, token in studio.seen:
        assert not {"..", "%2e%2e"} & set(path.partition("?")[0].lower().split("/")), path
        assert not token or re.match(r"/(data|storage-data)/|/(tasks|projects)/\d+/(resolve|presign)/?\?", path), path

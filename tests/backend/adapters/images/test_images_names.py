"""Label Studio's own images are known by every name it has, and asked for where we reach it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.adapters.images.source import ImageSource
from backend.core.errors import BadImage, LabelStudioDown
from tests.backend.image_server import PICTURE, TOKEN, Server, source

UPLOAD = "/data/upload/1/private.png"
RESOLVED = f"/tasks/7/resolve/?fileuri={base64.urlsafe_b64encode(b's3://b/k').decode()}"


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


@pytest.mark.parametrize("prefix", ["/ls", "/deep/er"])
@pytest.mark.parametrize(
    "path", [UPLOAD, "/data/local-files/?d=a/b.png", "/storage-data/uploaded/?filepath=a", RESOLVED]
)
def test_a_sub_path_is_left_out_where_label_studio_is_asked_directly(studio: Server, prefix: str, path: str) -> None:
    """(10-C6) With LABEL_STUDIO_HOST=http://H/ls uploads are stored as /ls/data/..., and served at /data/... inside."""
    for ref in (prefix + path, f"{studio.url}{prefix}{path}", path):
        assert source(studio).fetch(ref, 1) == PICTURE
    assert studio.seen == [(path, "Token secret")] * 3


@pytest.mark.parametrize("path", [UPLOAD, RESOLVED])
def test_a_sub_path_that_label_studio_is_reached_by_stays(studio: Server, path: str) -> None:
    """(10-C6) LABEL_STUDIO_URL=http://H/label-studio."""
    images = ImageSource(label_studio_url=f"{studio.url}/label-studio/", auth_headers=lambda: TOKEN)
    for ref in (path, f"/label-studio{path}", f"{studio.url}/label-studio{path}", f"{studio.url}{path}"):
        assert images.fetch(ref, 7) == PICTURE
    assert images.fetch("s3://b/k", 7) == PICTURE
    assert studio.seen[:4] == [(f"/label-studio{path}", "Token secret")] * 4
    assert studio.seen[4] == (f"/label-studio{RESOLVED}", "Token secret")


def test_a_redirect_of_label_studio_below_its_sub_path_is_followed(studio: Server) -> None:
    """(10-C6) It redirects with the sub-path even where it is asked without."""
    assert source(studio).fetch(f"/data/upload/1/go?/ls{UPLOAD}", 1) == PICTURE
    assert studio.seen[-1] == (UPLOAD, "Token secret")


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "[::1]"])
def test_the_names_of_this_machine_are_one(studio: Server, name: str) -> None:
    """(10-C6) http://localhost:8080/data/... in tasks while LABEL_STUDIO_URL says 127.0.0.1."""
    assert source(studio).fetch(f"http://{name}:{studio.server_port}{UPLOAD}", 1) == PICTURE
    assert source(studio).fetch(f"http://{name}:{studio.server_port}/static/logo.png", 1) == PICTURE
    assert studio.seen == [(UPLOAD, "Token secret"), ("/static/logo.png", None)]
    with pytest.raises(BadImage, match="IMAGE_HOSTS"):
        source(studio).fetch(f"http://{name}:1{UPLOAD}", 1)


def test_the_name_that_label_studio_gives_itself_is_label_studio(studio: Server, tmp_path: Path) -> None:
    """(10-C6) Synced local files are stored as http://PUBLIC/ls/data/local-files/... while we use the inner address."""
    asked: list[str] = []

    def own_address() -> str:
        asked.append("")
        return "https://labels.example/ls"

    images = source(studio, own_address=own_address)
    local = "/data/local-files/?d=a/b.png"
    for path in (local, UPLOAD, RESOLVED):
        assert images.fetch(f"https://labels.example/ls{path}", 1) == PICTURE
        assert studio.seen[-1] == (path, "Token secret")
    assert len(asked) == 1
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.png").write_bytes(b"here")
    near = source(studio, own_address=own_address, local_root=tmp_path)
    assert near.fetch(f"https://labels.example/ls{local}", 1) == b"here"


@pytest.mark.parametrize(
    "ref",
    [
        "http://labels.example/data/upload/1/private.png",  # another port
        "https://labels.example.evil/data/upload/1/private.png",
        "https://evil.example/data/upload/1/private.png",
        "https://labels.example@evil.example/data/upload/1/private.png",
        "https://labels.example/ls/api/current-user/token",
        "https://labels.example/ls/data/upload/../../api/current-user/token",
        "https://labels.example/ls/data/upload/%2e%2e/%2e%2e/api/current-user/token",
        "https://labels.example/static/logo.png",
    ],
)
def test_other_hosts_and_other_paths_are_not_label_studio(studio: Server, ref: str) -> None:
    """(10-C6) A name opens nothing but the images."""
    with pytest.raises(BadImage):
        source(studio, own_address=lambda: "https://labels.example/ls").fetch(ref, 1)
    assert studio.seen == []


def test_an_allowed_host_with_such_paths_is_asked_itself_and_never_with_the_token(
    studio: Server, other: Server
) -> None:
    """(10-C6) Another Label Studio, say, whose images are public."""
    questions: list[int] = []

    def own_address() -> str:
        questions.append(1)
        return ""

    images = source(studio, own_address=own_address, allowed_hosts=[f"127.0.0.1:{other.server_port}"])
    for _ in range(3):
        assert images.fetch(f"{other.url}/data/upload/1/a.png", 1) == PICTURE
    assert images.fetch(f"{other.url}/pictures/a.png", 1) == PICTURE
    assert studio.seen == [] and {token for _, token in other.seen} == {None}
    assert len(questions) == 1  # at most once a minute


def test_a_label_studio_that_is_away_cannot_tell_its_name(studio: Server) -> None:
    """(10-C6) Then it is down, and the image is not at fault."""

    def own_address() -> str:
        raise LabelStudioDown("Label Studio does not answer")

    with pytest.raises(LabelStudioDown):
        source(studio, own_address=own_address).fetch("https://labels.example/data/upload/1/a.png", 1)


@pytest.mark.parametrize(
    "ref", ["/ls/api/projects/1", "/ls/data/passwd", "/ls/tasks/x/resolve/", "/database/upload/1/a"]
)
def test_other_paths_below_a_sub_path_are_no_images(studio: Server, ref: str) -> None:
    """(10-C6) Only the known paths are looked for behind a sub-path."""
    with pytest.raises(BadImage, match="not a path of images"):
        source(studio).fetch(ref, 1)
    assert studio.seen == []

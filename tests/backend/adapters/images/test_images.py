"""Images are fetched by every route of Label Studio, and hostile addresses end in a reason."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from backend.adapters.images.source import ImageSource
from backend.adapters.net import guarded
from backend.adapters.net.guarded import Forbidden, judge
from backend.core.errors import BadImage, BadSetting, LabelStudioDown, LabelStudioRefused
from tests.backend.image_server import PICTURE, TOKEN, Server, source


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
    monkeypatch.setattr("backend.adapters.images.source.WAITS", (0.01, 0.02))


def test_an_upload_is_fetched_with_the_token(studio: Server) -> None:
    assert source(studio).fetch("/data/upload/1/private.png", 1) == PICTURE
    assert source(studio).fetch(f"{studio.url}/data/upload/1/private.png", 1) == PICTURE
    assert studio.seen == [("/data/upload/1/private.png", "Token secret")] * 2


@pytest.mark.parametrize("ref", ["/data/upload/1/private.png", "/label-studio/data/upload/1/private.png"])
def test_a_path_prefix_of_label_studio_is_kept_once(studio: Server, ref: str) -> None:
    images = ImageSource(label_studio_url=f"{studio.url}/label-studio/", auth_headers=lambda: TOKEN)
    assert images.fetch(ref, 1) == PICTURE
    assert studio.seen == [("/label-studio/data/upload/1/private.png", "Token secret")]


def test_odd_names_reach_the_server_encoded(studio: Server) -> None:
    source(studio).fetch("/data/upload/1/my picture ü.png", 1)
    assert studio.seen[0][0] == "/data/upload/1/my%20picture%20%C3%BC.png"


def test_the_token_stays_off_other_paths_and_other_hosts(studio: Server, other: Server) -> None:
    images = source(studio, allowed_hosts=[f"127.0.0.1:{other.server_port}"])
    images.fetch(f"{studio.url}/static/logo.png", 1)
    images.fetch(f"{other.url}/a.png", 1)
    images.fetch(f"/data/upload/1/go?{other.url}/b.png", 1)
    assert [token for _, token in studio.seen] == [None, "Token secret"]
    assert other.seen == [("/a.png", None), ("/b.png", None)]


def test_a_host_outside_the_list_is_refused_with_the_setting(studio: Server, other: Server) -> None:
    for ref in (f"{other.url}/a.png", f"/data/upload/1/go?{other.url}/b.png"):
        with pytest.raises(BadImage, match=rf"host 127.0.0.1:{other.server_port} is not in IMAGE_HOSTS"):
            source(studio).fetch(ref, 1)
    assert other.seen == []


def test_a_parser_trick_does_not_move_the_token(studio: Server, other: Server) -> None:
    here, there = studio.url.removeprefix("http://"), other.url.removeprefix("http://")
    for ref in (f"http://{here}\\@{there}/a", f"http://{here}@{there}/a", f"http://{here}#@{there}/", f"//{there}/a"):
        try:
            source(studio).fetch(ref, 1)
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
        source(studio).fetch(f"/data/upload/1/go?{target}", 1)
    with pytest.raises(BadImage, match=r"link-local|not an http|not a URL|IMAGE_HOSTS"):
        source(studio, allowed_hosts=["169.254.169.254", "[fe80::1]"]).fetch(f"/data/upload/1/go?{target}", 1)


def test_redirects_that_never_end_are_given_up(studio: Server) -> None:
    loop = "/data/upload/1/go?/data/upload/1/go?"
    with pytest.raises(BadImage, match="redirects"):
        source(studio).fetch("/data/upload/1/go?" + loop * 10, 1)


def test_a_name_that_leads_to_a_metadata_address_is_refused(studio: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {
        "rebind.example": "169.254.169.254",
        "inner.example": "10.0.0.1",
        "mapped.example": "::ffff:169.254.169.254",
    }
    real = socket.getaddrinfo

    def resolve(host: str, port: int, *rest: Any, **options: Any) -> Any:
        return real(answers.get(host, host), port, *rest, **options)

    monkeypatch.setattr(guarded.socket, "getaddrinfo", resolve)
    images = source(studio, allowed_hosts=["rebind.example", "mapped.example", "*.example"])
    for host in ("rebind.example", "mapped.example"):
        with pytest.raises(BadImage, match=r"169\.254\.169\.254 is link-local"):
            images.fetch(f"http://{host}/latest", 1)
    with pytest.raises(BadImage, match=r"10\.0\.0\.1 is private"):
        images.fetch("http://inner.example/a.png", 1)


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
    ],
)
def test_a_bad_answer_becomes_a_reason_and_the_next_image_is_fine(studio: Server, name: str, reason: str) -> None:
    images = source(studio, max_bytes=1 << 20, timeout=0.4)
    with pytest.raises(BadImage, match=reason):
        images.fetch(f"/data/upload/1/{name}", 1)
    assert images.fetch("/data/upload/1/good.png", 1) == PICTURE


@pytest.mark.parametrize("length", ["%B2", "x", "-5", "1e3", "", "9" * 5000])
@pytest.mark.parametrize("path", ["length", "lead"])
def test_a_length_that_is_no_number_is_as_none(studio: Server, path: str, length: str) -> None:
    """Superscript two is a digit to Python's `isdigit`, and no number to its `int`."""
    assert source(studio).fetch(f"/data/upload/1/{path}?{length}", 1) == PICTURE


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("cut.png", "broke off before the end"),
        ("drip", "no complete answer within 0.4 s"),
        ("drip-header", "no complete answer within 0.4 s"),
    ],
)
def test_a_label_studio_that_hangs_is_no_bad_image_but_another_host_is(
    studio: Server, other: Server, name: str, reason: str
) -> None:
    """(10-B5) What Label Studio itself leaves unfinished may be tried again; the next image is fine."""
    images = source(studio, timeout=0.4, allowed_hosts=[f"127.0.0.1:{other.server_port}"])
    with pytest.raises(LabelStudioDown, match=reason):
        images.fetch(f"/data/upload/1/{name}", 1)
    assert images.fetch("/data/upload/1/good.png", 1) == PICTURE
    with pytest.raises(BadImage, match=reason):
        images.fetch(f"{other.url}/data/upload/1/{name}", 1)


def test_a_label_studio_that_takes_connections_and_says_nothing_is_no_bad_image() -> None:
    """(10-B5) As a stopped process does."""
    with socket.create_server(("127.0.0.1", 0)) as stopped:
        images = ImageSource(
            label_studio_url=f"http://127.0.0.1:{stopped.getsockname()[1]}", auth_headers=dict, timeout=0.2
        )
        with pytest.raises(LabelStudioDown, match=r"does not answer .* within 0\.2 s"):
            images.fetch("/data/upload/1/a.png", 1)


def test_a_server_that_is_away_for_a_moment_is_asked_again(studio: Server) -> None:
    studio.failures = 2
    assert source(studio).fetch("/data/upload/1/flaky.png", 1) == PICTURE
    studio.failures = 99
    with pytest.raises(LabelStudioDown, match="HTTP 503"):
        source(studio).fetch("/data/upload/1/flaky.png", 1)


def test_label_studio_away_is_no_fault_of_the_image(studio: Server) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: refused
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        images = ImageSource(label_studio_url=url, auth_headers=dict, allowed_hosts=[url[7:]])
        with pytest.raises(LabelStudioDown, match="does not answer"):
            images.fetch("/data/upload/1/a.png", 1)
        with pytest.raises(BadImage, match="cannot connect"):
            source(studio, allowed_hosts=[url[7:]]).fetch(f"{url}/a.png", 1)


def test_a_token_that_ran_out_is_renewed_once(studio: Server) -> None:
    tokens = iter(["Token old", "Token secret", "Token old", "Token old"])
    images = ImageSource(label_studio_url=studio.url, auth_headers=lambda: {"Authorization": next(tokens)})
    assert images.fetch("/data/upload/1/private.png", 1) == PICTURE
    with pytest.raises(LabelStudioRefused, match="LABEL_STUDIO_API_KEY"):
        images.fetch("/data/upload/1/private.png", 1)

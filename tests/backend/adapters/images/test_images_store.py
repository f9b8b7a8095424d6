"""Cloud storages are read through Label Studio, which leads to their stores; it is believed for that one step."""

from __future__ import annotations

import base64
import socket
from collections.abc import Iterator

import pytest

from backend.adapters.net import guarded
from backend.adapters.net.guarded import Trust
from backend.core.errors import BadImage, LabelStudioDown
from tests.backend.image_server import PICTURE, Server, source

REF = "s3://pictures/a b.png"
NAMED = base64.urlsafe_b64encode(REF.encode()).decode()
ADDRESS = f"/tasks/7/resolve/?fileuri={NAMED}"


@pytest.fixture
def studio() -> Iterator[Server]:
    with Server() as server:
        yield server
        server.shutdown()


@pytest.fixture
def shop() -> Iterator[Server]:
    """The store."""
    with Server() as server:
        yield server
        server.shutdown()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.adapters.images.source.WAITS", (0.01, 0.02))


def host(server: Server) -> str:
    return f"127.0.0.1:{server.server_port}"


@pytest.mark.parametrize("scheme", ["s3", "gs", "azure-blob"])
def test_label_studio_leads_to_the_store_and_the_token_stays_with_it(studio: Server, shop: Server, scheme: str) -> None:
    """(10-D1) Cloud addresses in task data are images."""
    studio.leads = [(303, f"{shop.url}/pictures/a%20b.png?X-Amz-Signature=1")]
    ref = f"{scheme}://pictures/a b.png"
    assert source(studio, allowed_hosts=[host(shop)]).fetch(ref, 7) == PICTURE
    named = base64.urlsafe_b64encode(ref.encode()).decode()
    assert studio.seen == [(f"/tasks/7/resolve/?fileuri={named}", "Token secret")]
    assert shop.seen == [("/pictures/a%20b.png?X-Amz-Signature=1", None)]


@pytest.mark.parametrize(
    "path", ["/tasks/7/resolve/", "/tasks/7/presign/", "/projects/3/resolve/", "/projects/3/presign/"]
)
def test_addresses_that_label_studio_resolved_already_are_asked_with_the_token(studio: Server, path: str) -> None:
    """(10-D1) Task data as the API shows it, with the bytes through Label Studio (presign off)."""
    for ref in (f"{studio.url}{path}?fileuri={NAMED}", f"{path}?fileuri={NAMED}"):
        assert source(studio).fetch(ref, 7) == PICTURE
    assert studio.seen == [(f"{path}?fileuri={NAMED}", "Token secret")] * 2


def test_a_public_store_needs_no_setting(studio: Server, shop: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """(10-D1) Its host is allowed because Label Studio named it, as any public one would be."""
    judged: list[tuple[str, Trust]] = []
    monkeypatch.setattr(guarded, "judge", lambda address, trust, name: judged.append((name, trust)))
    studio.leads = [(303, f"{shop.url}/pictures/a.png")]
    assert source(studio).fetch(REF, 7) == PICTURE
    assert judged == [(host(studio), "named"), (host(shop), "public")]


def test_a_store_at_a_private_address_says_what_to_set(studio: Server, shop: Server) -> None:
    """(10-D1) The usual MinIO beside Label Studio."""
    studio.leads = [(303, f"{shop.url}/pictures/a.png?X-Amz-Signature=secret")]
    with pytest.raises(BadImage, match=rf"private; to allow it set IMAGE_HOSTS=127\.0\.0\.1:{shop.server_port} ") as no:
        source(studio, allowed_hosts=["*"]).fetch(REF, 7)
    assert "secret" not in str(no.value) and shop.seen == []
    studio.leads = [(303, "http://[::1]:9000/pictures/a.png")]
    with pytest.raises(BadImage, match=r"private; to allow it set IMAGE_HOSTS=\[::1\]:9000 "):
        source(studio).fetch(REF, 7)


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data/iam",
        "http://[fe80::1]/",
        "http://[::ffff:169.254.169.254]/",
        "http://metadata.example/",
        "http://user:pass@127.0.0.1/",
        "http://127.0.0.1:1/pictures/../../x",
        "file:///etc/passwd",
        "s3://pictures/again",
    ],
)
def test_a_store_that_leads_to_the_clouds_metadata_is_refused(
    studio: Server, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """(10-D1) Whoever can add a storage to a project must not read what only this machine may."""
    real = socket.getaddrinfo
    monkeypatch.setattr(
        guarded.socket,
        "getaddrinfo",
        lambda name, *rest, **more: real("169.254.169.254" if name == "metadata.example" else name, *rest, **more),
    )
    studio.leads = [(303, target)]
    for allowed in ([], ["*"], ["169.254.169.254", "metadata.example", "[fe80::1]"]):
        with pytest.raises(BadImage, match=r"link-local|not an http|user name|\.\. in its path"):
            source(studio, allowed_hosts=allowed).fetch(REF, 7)
    assert {path for path, _ in studio.seen} == {ADDRESS}


def test_label_studio_is_believed_for_one_step_only(studio: Server, shop: Server) -> None:
    """(10-D1) Where a store redirects to, and where other answers of Label Studio lead, is judged as ever."""
    with Server() as third:
        studio.leads = [(303, f"{shop.url}/data/upload/1/go?{third.url}/a.png")]
        with pytest.raises(BadImage, match=rf"127\.0\.0\.1:{third.server_port} is not in IMAGE_HOSTS"):
            source(studio, allowed_hosts=[host(shop)]).fetch(REF, 7)
        studio.leads = [(302, f"{third.url}/login")]  # a gate before Label Studio
        with pytest.raises(BadImage, match=rf"127\.0\.0\.1:{third.server_port} is not in IMAGE_HOSTS"):
            source(studio).fetch(REF, 7)
        assert third.seen == []
        third.shutdown()


@pytest.mark.parametrize("status", [400, 403])
def test_an_address_that_expired_is_asked_for_once_more(studio: Server, shop: Server, status: int) -> None:
    """(10-D1) Expiry amid embedding."""
    shop.refusal = (status, b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>")
    images = source(studio, allowed_hosts=[host(shop)])
    studio.leads = [(303, f"{shop.url}/pictures/a.png?1"), (303, f"{shop.url}/fresh/a.png?2")]
    assert images.fetch(REF, 7) == PICTURE
    assert studio.seen == [(ADDRESS, "Token secret")] * 2
    studio.seen.clear()
    studio.leads = [(303, f"{shop.url}/pictures/a.png?3")]
    with pytest.raises(BadImage, match=rf"HTTP {status} AccessDenied from the store .*expired at once.*time to live"):
        images.fetch(REF, 7)
    assert len(studio.seen) == 2


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (404, "NoSuchKey", "HTTP 404 NoSuchKey from the store .* for /pictures/a.png: the object is gone"),
        (404, "NoSuchBucket", "no such bucket"),
        (403, "AccessDenied", "may not read it"),
        (403, "InvalidAccessKeyId", "keys of the storage in Label Studio are wrong"),
        (500, "<script>", "HTTP 500 from the store [^<]* for /pictures/a.png$"),
    ],
)
def test_what_a_store_refuses_is_told_in_words(
    studio: Server, shop: Server, status: int, code: str, words: str
) -> None:
    """(10-D1) Missing key, wrong bucket, no rights."""
    studio.leads = [(303, f"{shop.url}/pictures/a.png?X-Amz-Signature=secret")]
    shop.refusal = (
        status,
        f"<?xml?><Error><Code>{code}</Code><Message>said</Message></Error>".encode() + b" " * 10_000,
    )
    with pytest.raises(BadImage, match=words) as no:
        source(studio, allowed_hosts=[host(shop)]).fetch(REF, 7)
    assert "secret" not in str(no.value)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (404, "finds no cloud storage for s3://pictures/a b.png .*add a source storage"),
        (403, "does not let the token's user see s3://pictures/a b.png"),
        (424, "cannot read s3://pictures/a b.png .*is it gone"),
        (500, "HTTP 500 from Label Studio for s3://pictures/a b.png"),
    ],
)
def test_what_label_studio_cannot_resolve_is_told_in_words(studio: Server, status: int, words: str) -> None:
    """(10-D1) A storage that was removed from the project, a user without rights, a store that gives nothing."""
    studio.leads = [(status, "")]
    with pytest.raises(BadImage, match=words):
        source(studio).fetch(REF, 7)


def test_a_store_or_a_label_studio_that_is_away_is_no_fault_of_the_image(studio: Server) -> None:
    """(10-D1) All images of the project would fail for good while the store restarts."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: refused
        away = f"127.0.0.1:{taken.getsockname()[1]}"
        studio.leads = [(303, f"http://{away}/pictures/a.png?X-Amz-Signature=secret")]
        with pytest.raises(LabelStudioDown, match=rf"the store {away}, to which Label Studio leads, does not") as no:
            source(studio, allowed_hosts=[away]).fetch(REF, 7)
        assert "secret" not in str(no.value)
    studio.leads = [(503, "")]
    with pytest.raises(LabelStudioDown, match="Label Studio does not answer"):
        source(studio).fetch(REF, 7)
    studio.leads = [(303, "http://no-such-host.invalid/pictures/a.png")]
    with pytest.raises(BadImage, match="unknown host"):
        source(studio).fetch(REF, 7)


@pytest.mark.parametrize("path", ["drip", "drip-header", "cut.png"])
def test_a_store_that_hangs_or_breaks_off_is_waited_for(studio: Server, shop: Server, path: str) -> None:
    """(10-D1) Its images are not at fault either."""
    studio.leads = [(303, f"{shop.url}/data/upload/1/{path}")]
    images = source(studio, allowed_hosts=[host(shop)], timeout=0.4)
    with pytest.raises(LabelStudioDown, match=rf"the store {host(shop)}.*(within 0.4 s|broke off)"):
        images.fetch(REF, 7)
    studio.leads = [(303, f"{shop.url}/pictures/a.png")]
    assert images.fetch(REF, 7) == PICTURE


def test_a_key_that_looks_like_a_local_file_shows_no_signature(studio: Server, shop: Server) -> None:
    """(10-D1) Only the name of a local file is shown of a query."""
    shop.refusal = (404, b"")
    studio.leads = [(303, f"{shop.url}/pictures/data/local-files/a.png?d=1&X-Amz-Signature=secret")]
    for allowed in ([], [host(shop)]):
        with pytest.raises(BadImage) as no:
            source(studio, allowed_hosts=allowed).fetch(REF, 7)
        assert "secret" not in str(no.value)

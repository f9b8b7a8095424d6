"""A Label Studio whose certificate a private authority signed: SSL_CERT_FILE is the cure, for every client."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from backend.adapters.images.source import ImageSource
from backend.adapters.label_studio.client import ApiLabelStudio
from backend.core.errors import BadImage, BadSetting, LabelStudioDown, LabelStudioRefused
from backend.core.project.doctor import diagnose
from backend.local.reach import reach
from tests.backend.image_server import PICTURE, TOKEN, Server
from tests.backend.world import World

UPLOAD = "/data/upload/1/private.png"
AUTHORITY = trustme.CA(organization_name="Our Own")
SET = r"set SSL_CERT_FILE to a file with the certificate of the authority"


class Secure(Server):
    """The image server behind TLS; its certificate is for localhost and 127.0.0.1 unless told otherwise."""

    def __init__(self, *names: str, until: datetime | None = None) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        names = names or ("localhost", "127.0.0.1")
        AUTHORITY.issue_cert(*names, not_before=datetime(2020, 1, 1, tzinfo=UTC), not_after=until).configure_cert(
            context
        )
        self.context = context
        super().__init__()
        self.url = f"https://127.0.0.1:{self.server_port}"

    def server_activate(self) -> None:
        super().server_activate()
        self.socket = self.context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)


@pytest.fixture
def studio() -> Iterator[Secure]:
    with Secure() as server:
        yield server
        server.shutdown()


@pytest.fixture(autouse=True)
def no_trust(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setattr("backend.adapters.images.source.WAITS", (0.01, 0.02))


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    AUTHORITY.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))


def images(server: Server, **options: object) -> ImageSource:
    return ImageSource(label_studio_url=server.url, auth_headers=lambda: TOKEN, **options)  # type: ignore[arg-type]


def test_an_unknown_authority_names_ssl_cert_file_in_the_client_and_for_images(studio: Secure) -> None:
    """(10-C6) Neither is the image's fault."""
    with closing(ApiLabelStudio(studio.url, "secret")) as api, pytest.raises(LabelStudioDown, match=SET):
        api.server()
    with pytest.raises(LabelStudioDown, match=f"TLS failed: .*{SET}"):
        images(studio).fetch(UPLOAD, 1)
    assert studio.seen == []


def test_the_doctor_names_ssl_cert_file(studio: Secure, tmp_path: Path) -> None:
    """(10-C6) As the cure, not as part of the fact."""
    with closing(ApiLabelStudio(studio.url, "secret")) as api:
        services = replace(World(tmp_path).services, label_studio=api)
        found = diagnose(services, reach=lambda url: "")
    (failed,) = [item for item in found if "does not answer" in item.what]
    assert failed.level == "fail" and failed.cure.startswith("set SSL_CERT_FILE to a file")
    assert "CERTIFICATE_VERIFY_FAILED" in failed.what


def test_our_own_address_behind_the_authority_says_the_same(studio: Secure) -> None:
    """(10-C6) PUBLIC_URL may be https as well."""
    assert re.search(f"CERTIFICATE_VERIFY_FAILED.*{SET}", reach(f"{studio.url}/health"))


@pytest.mark.usefixtures("trusted")
def test_with_ssl_cert_file_both_clients_work(studio: Secure) -> None:
    """(10-C6) The server answers what no Label Studio would, so it was reached."""
    assert images(studio).fetch(UPLOAD, 1) == PICTURE
    with (
        closing(ApiLabelStudio(studio.url, "secret")) as api,
        pytest.raises(LabelStudioRefused, match="not as Label Studio does"),
    ):
        api.server()
    assert [path for path, _ in studio.seen] == [UPLOAD, "/api/version"]
    assert "CERTIFICATE" not in reach(f"{studio.url}/health")


def test_a_store_and_an_image_host_behind_the_authority_say_the_same(studio: Secure) -> None:
    """(10-C6) Wherever TLS is spoken."""
    name = f"127.0.0.1:{studio.server_port}"
    with Server() as plain:
        plain.leads = [(303, f"{studio.url}/pictures/a.png")]
        with pytest.raises(LabelStudioDown, match=f"the store {name}.*{SET}"):
            images(plain, allowed_hosts=[name]).fetch("s3://pictures/a.png", 1)
        with pytest.raises(BadImage, match=SET):
            images(plain, allowed_hosts=[name]).fetch(f"{studio.url}/a.png", 1)
        plain.shutdown()


@pytest.mark.usefixtures("trusted")
def test_other_faults_of_a_certificate_have_other_cures() -> None:
    """(10-C6) Trusting another authority would not help."""
    yesterday = datetime.now(UTC) - timedelta(days=1)
    for server, cure in (
        (Secure("labels.example"), "use the name that its certificate is for"),
        (Secure(until=yesterday), "must be renewed"),
    ):
        with server, closing(ApiLabelStudio(server.url, "secret")) as api:
            with pytest.raises(LabelStudioDown, match=cure):
                api.server()
            with pytest.raises(LabelStudioDown, match=cure):
                images(server).fetch(UPLOAD, 1)
            server.shutdown()


def test_an_ssl_cert_file_with_other_authorities_or_none_is_named(
    studio: Secure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """(10-C6) What is set already and does not do."""
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    monkeypatch.setenv("SSL_CERT_FILE", str(other))
    with closing(ApiLabelStudio(studio.url, "secret")) as api, pytest.raises(LabelStudioDown, match=f"to .*={other}"):
        api.server()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "gone.pem"))
    with pytest.raises(BadSetting, match=r"SSL_CERT_FILE=.*gone\.pem cannot be read"):
        ApiLabelStudio(studio.url, "secret")
    other.write_text("no certificate")
    monkeypatch.setenv("SSL_CERT_FILE", str(other))
    with pytest.raises(BadSetting, match=r"SSL_CERT_FILE=.*other\.pem cannot be read"):
        ApiLabelStudio(studio.url, "secret")

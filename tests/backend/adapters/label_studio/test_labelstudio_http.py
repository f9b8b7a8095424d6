"""Reads are repeated, writes never; what a server answers becomes an error that names the cure."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from backend.adapters.label_studio.http import Api
from backend.core.errors import LabelStudioDown, LabelStudioRefused

Answer = tuple[int, dict[str, str], str]


class Scripted(ThreadingHTTPServer):
    """Gives the answers in turn, the last one for ever, and counts the requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[Answer] = []
        self.asked: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Scripted

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answers = self.server.answers
        status, headers, text = answers.pop(0) if len(answers) > 1 else answers[0]
        self.server.asked.append(f"{self.command} {self.path} {self.headers.get('Authorization')}")
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(text.encode()))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text.encode())

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Scripted]:
    with Scripted() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def api(server: Scripted) -> Iterator[Api]:
    made = Api(server.url + "/", " 0123456789abcdef\n", timeout=5)
    yield made
    made.close()


FINE: Answer = (200, {}, '{"ok": true}')


def test_a_read_is_tried_again_when_the_server_is_busy(server: Scripted, api: Api) -> None:
    server.answers = [(503, {}, ""), (502, {}, "<html>"), FINE]
    assert api.get("/api/version") == {"ok": True}
    assert server.asked == ["GET /api/version Token 0123456789abcdef"] * 3


def test_a_read_gives_up_after_three_times(server: Scripted, api: Api) -> None:
    server.answers = [(503, {}, "")]
    with pytest.raises(LabelStudioDown, match="busy or restarting"):
        api.get("/api/version")
    assert len(server.asked) == 3


def test_a_write_is_never_sent_twice(server: Scripted, api: Api) -> None:
    server.answers = [(503, {}, ""), FINE]
    with pytest.raises(LabelStudioDown):
        api.send("POST", "/api/projects/1/import/predictions", [])
    assert len(server.asked) == 1


def test_a_locked_database_counts_as_busy_not_as_a_refusal(server: Scripted, api: Api) -> None:
    server.answers = [(500, {}, json.dumps({"detail": "database is locked"}))]
    with pytest.raises(LabelStudioDown):
        api.send("POST", "/api/projects/1/")


def test_a_redirect_is_not_followed_and_says_which_address_to_set(server: Scripted, api: Api) -> None:
    server.answers = [(301, {"Location": "https://labels.example/api/version"}, "")]
    with pytest.raises(LabelStudioRefused, match=r"moved to https://labels\.example.*set LABEL_STUDIO_URL"):
        api.get("/api/version")
    assert len(server.asked) == 1


@pytest.mark.parametrize("text", ["<html>It works!</html>", "9" * 5000, "[" * 90_000], ids=["html", "long", "deep"])
def test_a_page_that_is_no_json_is_not_label_studio(server: Scripted, api: Api, text: str) -> None:
    server.answers = [(200, {}, text)]
    with pytest.raises(LabelStudioRefused, match="not as Label Studio does"):
        api.get("/api/version")


def test_validation_errors_are_told_and_tracebacks_are_not(server: Scripted, api: Api) -> None:
    said = {
        "detail": "Validation error",
        "validation_errors": {"model_version": ["no such"]},
        "exc_info": "Traceback...",
    }
    server.answers = [(400, {}, json.dumps(said))]
    with pytest.raises(LabelStudioRefused, match="no such") as refused:
        api.send("POST", "/api/projects/1/")
    assert refused.value.status == 400 and "Traceback" not in str(refused.value)


def test_an_empty_answer_is_none(server: Scripted, api: Api) -> None:
    server.answers = [(204, {}, "")]
    assert api.send("POST", "/api/webhooks/1/") is None


def test_an_expired_personal_token_says_so(server: Scripted) -> None:
    expired = "eyJhbGciOiJIUzI1NiJ9.eyJ0b2tlbl90eXBlIjoicmVmcmVzaCIsImV4cCI6MX0.c2lnbmF0dXJl"
    api = Api(server.url, expired, timeout=5)
    with pytest.raises(LabelStudioRefused, match=r"expired.*Personal Access Token"):
        api.get("/api/version")
    api.close()
    assert server.asked == []


def test_no_error_tells_the_token(server: Scripted) -> None:
    """(10-A6) Neither what the HTTP client says of it, nor what a server repeats."""
    odd = Api(server.url, "SEKRET\nabc", timeout=5)
    with pytest.raises(LabelStudioDown, match=r"Token \*\*\*") as caught:
        odd.send("POST", "/api/x")
    assert "SEKRET" not in str(caught.value)
    odd.close()
    echoing = Api(server.url, "SEKRETabc", timeout=5)
    server.answers = [(400, {}, '{"detail": "Token SEKRETabc is odd"}')]
    with pytest.raises(LabelStudioRefused, match=r"Token \*\*\* is odd") as refused:
        echoing.send("POST", "/api/x")
    assert refused.value.status == 400
    echoing.close()

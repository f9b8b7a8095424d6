"""Odd requests and odd texts: each answer is below 500 and in words, and no page acts on who reads it."""

from __future__ import annotations

import pytest

from backend.core.project.enroll import enroll
from tests.backend.world import LS_ID


def test_control_characters_of_titles_show_as_escapes_on_the_page(client, world):
    """(10-A7) As on a terminal: HTML escapes alone let them through."""
    world.ls.add_project(LS_ID, 3, title="a\x1b[31m\x9b\u202eb\nc<i>")
    remote = world.ls.remote[LS_ID]
    enroll(world.services, remote, world.ls.parse_config(remote.label_config))
    text = client.get("/").get_data(as_text=True)
    assert "a\\x1b[31m\\x9b\\u202eb\\nc&lt;i&gt;" in text
    assert not set(text) & {chr(code) for code in (*range(10), *range(11, 32), *range(127, 160), 0x202E)}


ODD_PATHS = (
    "/%00",
    "/api/projects/6%00",
    "/a%0d%0ab",
    "/..%2f..%2fetc/passwd",
    "//",
    "/api/projects/6/queue?limit=%00",
)
LONG_QUERIES = ("/api/projects/6/queue?" + "a=1&" * 5_000, "/health?challenge=" + "a" * 20_000, "/?" + "%ff" * 7_000)
BODIES = (
    (None, None),
    (b"", "application/json"),
    (b"\0", "application/json"),
    (b"{}", "multipart/form-data; boundary="),
)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "POST", "PATCH", "DELETE", "FOO"])
def test_no_method_on_any_path_with_any_small_body_is_an_error_of_ours(client, world, method):
    """(10-A4) Every answer is below 500, and every refusal has words."""
    world.connect(3)
    routes = {rule.rule.replace("<project:number>", str(LS_ID)) for rule in client.application.url_map.iter_rules()}
    for path in (*sorted(routes), *ODD_PATHS, *LONG_QUERIES):
        for body, kind in BODIES:
            answer = client.open(path, method=method, data=body, headers={"Content-Type": kind} if kind else {})
            assert answer.status_code < 500, path
            if answer.status_code >= 400 and method != "HEAD":
                assert answer.json["error"], path


def test_the_api_answers_without_the_noise_of_floats(client):
    """Wilson's upper end was 0.9999999999999998."""
    with client.application.app_context():
        assert client.application.json.dumps({"high": 0.9999999999999998, "b": 0.1 + 0.2}) == '{"high": 1.0, "b": 0.3}'

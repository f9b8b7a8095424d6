"""Our API and the page: JSON for programs, one page for people, and every error in words."""

from __future__ import annotations

import pytest

from backend.core.project.enroll import enroll
from backend.web.errors import reason
from tests.backend.world import LS_ID
from tests.fakes import CONFIG


def test_status_queue_and_tasks_are_served(client, world):
    world.connect(12)
    world.embed_all()
    served = world.rank()
    assert [p["project"] for p in client.get("/api/projects").json] == [LS_ID]
    assert client.get(f"/api/projects/{LS_ID}").json["live"]["remaining"] == len(served)
    assert [i["task"] for i in client.get(f"/api/projects/{LS_ID}/queue?limit=3").json] == served[:3]
    assert len(client.get(f"/api/projects/{LS_ID}/tasks?state=embedded&limit=5").json) == 5


def test_strategies_are_listed_with_their_parameters(client):
    cards = {card["name"]: card for card in client.get("/api/strategies").json}
    assert {"random", "margin", "auto"} <= set(cards) and cards["margin"]["needs"] == ["probs"]
    assert all(card["summary"] and isinstance(card["params"], dict) for card in cards.values())


def test_the_strategy_is_switched_or_stays(client, world):
    world.connect(3)
    path = f"/api/projects/{LS_ID}/strategy"
    assert client.put(path, json={"name": "random"}).json == {"name": "random", "params": {}, "preset": None}
    assert client.put(path, json={"name": "svpp-random"}).json == {
        "name": "random",
        "params": {},
        "preset": "svpp-random",
    }
    assert client.get(f"/api/projects/{LS_ID}").json["preset"] == "svpp-random"
    assert "svpp-random (random)" in client.get("/").text
    for body in ({"name": "margn"}, {"name": "random", "params": {"x": 1}}, {"nam": 1}, {"name": "random", "z": 1}):
        assert client.put(path, json=body).status_code == 400
    assert world.project.strategy.name == "random"


@pytest.mark.parametrize(
    ("method", "path", "body", "told"),
    [
        ("put", "/strategy", {"name": "margin", "params": {"name": "x"}}, "margin has no parameter name"),
        ("put", "/strategy", {"name": "margin", "params": {"self": "x"}}, "margin has no parameter self"),
        ("put", "/strategy", {"name": None}, '{"name": "margin"'),
        ("put", "/strategy", {"params": {}}, '{"name": "margin"'),
        ("put", "/strategy", {"name": "margin", "params": []}, '{"name": "margin"'),
        ("put", "/strategy", {"name": "margin", "parms": {}}, "unknown parms in the body; known: name, params"),
        ("post", "/tasks/retry", {"id": [1]}, "unknown id in the body; known: ids"),
        ("post", "/renewal", {"action": ["start"]}, "the action must be"),
        ("post", "/renewal", {"action": "start", "method": {}}, "method must be one of"),
        ("get", "/queue?limt=3", None, "unknown parameter limt; known: limit"),
        ("get", "/settings?x=1", None, "unknown parameter x; known: none"),
        ("get", "/tasks?state=failed&state=odd&limit=²", None, "limit must be a whole number"),
    ],
)
def test_what_is_said_wrongly_is_a_400_in_words(client, world, method, path, body, told):
    """(10-A5)"""
    world.connect(3)
    answer = client.open(f"/api/projects/{LS_ID}{path}", method=method.upper(), json=body)
    assert answer.status_code == 400 and told in answer.json["error"]
    assert world.project.strategy.name == "auto"


@pytest.mark.parametrize("number", ["0", "2147483648", "9999999999", "9" * 20, "9" * 5_000])
def test_a_number_out_of_range_is_no_project(client, number):
    """(10-A5)"""
    for method, path in (("GET", ""), ("PUT", "/settings"), ("POST", "/renewal")):
        answer = client.open(f"/api/projects/{number}{path}", method=method, json={})
        assert answer.status_code == 404 and answer.json["error"]


def test_failed_tasks_are_listed_and_retried(client, world):
    world.connect(3)
    world.services.tasks.finish(world.project.id, {}, {1: "truncated", 2: "no image"})
    failed = client.get(f"/api/projects/{LS_ID}/tasks?state=failed").json
    assert [(t["id"], t["reason"]) for t in failed] == [(1, "truncated"), (2, "no image")]
    world.asked()
    assert client.post(f"/api/projects/{LS_ID}/tasks/retry", json={"ids": [1]}).json == {"retried": 1}
    assert "embed" in world.jobs.names()
    assert client.post(f"/api/projects/{LS_ID}/tasks/retry", json={}).json == {"retried": 1}
    assert client.post(f"/api/projects/{LS_ID}/tasks/retry", json={"ids": ["1"]}).status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("get", "/nowhere", 404),
        ("get", "/setup", 405),
        ("get", "/api/projects/77", 404),
        ("get", "/api/projects/x", 404),
        ("get", "/api/projects/99999999999999999999", 404),
        ("get", f"/api/projects/{LS_ID}/tasks?state=odd", 400),
        ("get", f"/api/projects/{LS_ID}/queue?limit=-1", 400),
    ],
)
def test_every_error_is_json(client, world, method, path, status):
    world.connect(1)
    answer = getattr(client, method)(path)
    assert answer.status_code == status and answer.json["error"]


def test_our_own_mistake_is_a_500_with_an_id_that_is_in_the_log(client, world, monkeypatch, capsys):
    world.connect(1)
    monkeypatch.setattr(world.services.rankings, "live", lambda project: 1 / 0, raising=False)
    answer = client.get(f"/api/projects/{LS_ID}")
    assert answer.status_code == 500 and "ZeroDivision" not in answer.text
    assert answer.json["id"] in answer.json["error"]
    logged = capsys.readouterr()
    assert answer.json["id"] in logged.out + logged.err and "ZeroDivisionError" in logged.out + logged.err


def test_a_reason_phrase_is_one_line_of_latin_1():
    assert reason("a\r\nSet-Cookie: x\n\tb") == "a Set-Cookie: x b"
    assert reason("über ‘auto’") == "über ?auto?"
    assert len(reason("x" * 999)) == 300 and reason("\n") == "Error"


def test_the_page_says_how_to_connect_and_then_how_things_stand(client, world):
    empty = client.get("/")
    assert (
        "labelqueue connect PROJECT" in empty.text and "default-src 'none'" in empty.headers["Content-Security-Policy"]
    )
    world.connect(12)
    assert "none: run" in client.get("/").text and "Digits" in client.get("/").text
    world.jobs.down = True
    assert "does not answer" in client.get("/").text


def test_the_page_escapes_titles(client, world):
    world.ls.add_project(LS_ID, 0, title="<script>alert(1)</script>")
    enroll(world.services, world.ls.remote[LS_ID], CONFIG)
    assert "<script>" not in client.get("/").text and "&lt;script&gt;" in client.get("/").text

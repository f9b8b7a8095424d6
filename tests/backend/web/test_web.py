"""The web process: Label Studio's protocol, who may call, and that it stays small."""

from __future__ import annotations

import base64
import gzip
import io
import json

import pytest

from backend.core.project.ourselves import SECRET_HEADER, proof
from backend.core.services import Options
from backend.settings import Settings
from backend.web import create_app, limits
from tests.backend.requests import BASIC, CREATED, SETUP, START, settings
from tests.backend.world import KEY, LS_ID, World

LOCKED = {"basic_auth_user": "ls", "basic_auth_pass": "pw"}


@pytest.fixture
def locked(tmp_path):
    made = World(tmp_path, options=Options(basic_auth=("ls", "pw")))
    return create_app(made.services, settings(tmp_path, **LOCKED)).test_client()


@pytest.fixture
def secret(world):
    return {SECRET_HEADER: world.services.projects.secret("webhook")}


def test_health_and_versions_answer_as_label_studio_wants(client):
    assert client.get("/health").json == {"status": "UP", "model_class": "LabelQueue"}
    assert client.get("/versions").json == {"versions": ["LabelQueue"]}


def test_setup_of_an_unknown_project_is_left_to_the_workers_and_uses_neither_host_nor_token(client, world):
    answer = client.post("/setup", json=SETUP | {"extra_params": '{"batch_size": 7}'})
    assert (answer.status_code, answer.json) == (200, {"model_version": "LabelQueue"})
    assert [(caller.key, caller.extra) for caller in world.jobs.callers()] == [(KEY, {"batch_size": 7})]
    assert world.jobs.names() == ["meet"] and world.ls.calls == [] and world.services.projects.all() == []


@pytest.mark.parametrize("key", ["1.1", "5.1", "5", "2147483647.1"])
def test_no_request_for_another_project_than_ours_adds_or_removes_one(client, world, key):
    """(10-A1) A /setup with another stamp dropped the project; a /predict with one read what is another's."""
    world.connect(6)
    world.embed_all()
    world.rank()
    before = world.services.projects.all()
    for body in (SETUP | {"project": key}, SETUP | {"project": key, "extra_params": {"strategy": "random"}}):
        assert client.post("/setup", json=body).json == {"model_version": "LabelQueue"}
    predicted = client.post("/predict", json={"project": key, "tasks": [{"id": 1}]})
    assert predicted.status_code == (200 if key == str(LS_ID) else 400)
    number = int(key.split(".")[0])
    assert client.post("/webhook", json={"action": "START_TRAINING", "project": {"id": number}}).status_code == 202
    assert world.services.projects.all() == before and world.served()


@pytest.mark.parametrize("key", ["0.1", "01.1", "1.", "2147483648.1", "9999999999.1"])
def test_ids_that_label_studio_cannot_have_are_refused(client, world, key):
    assert client.post("/setup", json=SETUP | {"project": key}).status_code == 400
    assert world.jobs.callers() == []


@pytest.mark.parametrize("extra", [None, "", '{"batch_size": 7}', {"batch_size": 7}])
def test_setup_takes_extra_params_in_every_form(client, world, extra):
    world.connect(3)
    assert client.post("/setup", json=SETUP | {"extra_params": extra}).status_code == 200
    assert world.project.batch_size == (7 if extra else 10)


@pytest.mark.parametrize("extra", ['{"strategy": "margn"}', {"strategy": "margn"}])
def test_a_bad_strategy_is_told_in_the_status_line(client, extra):
    answer = client.post("/setup", json=SETUP | {"extra_params": extra})
    assert answer.status.startswith("400 ") and "margn" in answer.status and "margin" in answer.status
    assert "margn" in answer.json["error"]


def test_predict_answers_each_task_in_order(client, world):
    world.connect(12)
    world.embed_all()
    world.rank()
    tasks = [{"id": number, "data": {}} for number in (3, 999, 1, 3)]
    items = client.post("/predict", json={"tasks": tasks, "project": KEY, "label_config": "", "params": {}}).json[
        "results"
    ]
    assert len(items) == 4 and items[0] == items[3]
    assert items[1]["score"] >= 1 and items[1]["result"] == []
    assert {item["model_version"] for item in items} == {world.ls.remote[LS_ID].model_version + "-guesses"}
    assert client.post("/predict", json={"tasks": [], "project": KEY}).json == {"results": []}


@pytest.mark.parametrize("path", ["/setup", "/predict"])
@pytest.mark.parametrize(
    "body",
    [b"", b"\xff\xfe", b"null", b"[]", b"5", b"{}", b"[" * 100_000, b'{"project": 1}', b'{"project": "1e9"}']
    + [json.dumps({"project": p, "tasks": []}).encode() for p in ("²", "9" * 30, "1;2", " 1", {}, ["1"])],
    ids=lambda body: body[:30].decode("latin-1"),
)
def test_unknown_json_is_a_400_in_json(client, path, body):
    answer = client.post(path, data=body, content_type="application/json")
    assert answer.status_code == 400 and answer.json["error"]


@pytest.mark.parametrize("tasks", [None, {}, "x", [1], [None], [{}], [{"id": "1"}], [{"id": 2**70}], [{"id": True}]])
def test_predict_refuses_what_are_no_tasks(client, world, tasks):
    world.connect(2)
    assert client.post("/predict", json={"project": KEY, "tasks": tasks}).status_code == 400


def test_huge_bodies_and_label_configs_are_refused(world, tmp_path):
    client = create_app(world.services, settings(tmp_path, max_body_mb=12, **LOCKED)).test_client()
    config = client.post("/setup", json=SETUP | {"schema": "x" * 10_000_000}, headers=BASIC)
    assert config.status_code == 400 and "schema" in config.json["error"]
    body = client.post("/setup", json=SETUP | {"schema": "x" * 13_000_000}, headers=BASIC)
    assert body.status_code == 413 and body.json["error"]
    assert world.services.projects.all() == []


@pytest.mark.parametrize(("path", "most"), [("/webhook", 4), ("/setup", 4), ("/predict", 16), ("/api/projects", 1)])
def test_a_stranger_may_send_what_label_studio_sends_and_no_more(client, world, path, most):
    """(10-A4) Nothing of an unsigned 63 MB webhook is parsed."""
    world.connect(2)
    padding = " " * (most * 2**20)
    refused = client.post(path, data="{}" + padding, content_type="application/json")
    assert refused.status_code == 413 and f"{most * 2**20:,}" in refused.json["error"]
    assert client.post(path, data=padding[:-2] + "{}", content_type="application/json").status_code != 413


@pytest.mark.parametrize("signed", [False, True])
def test_more_tasks_than_a_body_of_label_studios_holds_are_refused_in_words(client, locked, world, signed):
    """(10-A4) 1,150,000 tasks of a few bytes each took 2.9 GB and 41 s."""
    most = (64 if signed else 16) * 2**20 // limits.BYTES_A_TASK
    tasks = ",".join(['{"id":1}'] * (most + 1))
    body = f'{{"project": "{KEY}", "tasks": [{tasks}]}}'
    refused = (locked if signed else client).post("/predict", data=body, headers=BASIC if signed else {})
    assert refused.status_code == 413 and f"{most + 1:,} tasks; at most {most:,}" in refused.json["error"]
    world.connect(2)
    assert len(client.post("/predict", json={"project": KEY, "tasks": [{"id": 1}] * 8000}).json["results"]) == 8000


@pytest.mark.parametrize(
    ("path", "most"), [("/webhook", 4), ("/setup", 4), ("/predict", 16), ("/api/projects/5/settings", 1)]
)
@pytest.mark.parametrize("item", ["{}", "[]"])
def test_a_body_of_small_lists_and_objects_is_refused_before_it_is_parsed(world, tmp_path, secret, path, most, item):
    """(10-A4) They cost thirty times as much in memory as on the wire, of whoever they come."""
    world.connect(1)
    client = create_app(world.services, settings(tmp_path)).test_client()
    for megabytes, headers in ((most, {}), (64, secret))[: 1 + (path == "/webhook")]:
        count = megabytes * 2**20 // limits.BYTES_A_VALUE
        body = '{"action": "START_TRAINING", "x": [' + ",".join([item] * count) + "]"  # no JSON: it does not end
        method = "PUT" if path.startswith("/api") else "POST"
        refused = client.open(path, method=method, data=body, headers=headers, content_type="application/json")
        assert refused.status_code == 413 and f"at most {count:,}" in refused.json["error"]


def test_one_large_body_of_a_stranger_is_parsed_at_a_time(client, world, secret):
    """(10-A4) Others are told to come again; small ones, and those of whom we know, are answered meanwhile."""
    body = json.dumps({"project": KEY, "tasks": [{"id": 1}], "padding": " " * 2**20})
    world.connect(2)
    answers = []

    class Slow(io.BytesIO):
        def readinto(self, buffer):
            if not answers:
                answers.append(None)
                answers[:] = [
                    client.post("/predict", data=body),
                    client.post("/predict", json={"project": KEY, "tasks": [{"id": 1}]}),
                    client.post("/webhook", data=json.dumps(CREATED | {"x": " " * 2**20}), headers=secret),
                ]
            return super().readinto(buffer)

    first = client.post("/predict", input_stream=Slow(body.encode()), content_length=len(body))
    assert (first.status_code, [answer.status_code for answer in answers]) == (200, [503, 200, 202])
    assert answers[0].headers["Retry-After"] and "large" in answers[0].json["error"]
    assert client.post("/predict", data=body).status_code == 200
    assert client.post("/webhook", data=json.dumps(START | {"x": " " * 2**20})).status_code == 202


def test_who_shows_the_secret_or_the_password_may_send_more(client, locked, secret):
    """(10-A4)"""
    body = json.dumps(START | {"padding": " " * 5 * 2**20})
    assert client.post("/webhook", data=body, headers=secret).status_code == 202
    assert locked.post("/webhook", data=body, headers=BASIC).status_code == 202
    assert locked.post("/webhook", data=body).status_code == 401


class _Unread(io.BytesIO):
    """A body that nobody may look at."""

    def read(self, *arguments):
        raise AssertionError("the body was read")


@pytest.mark.parametrize("path", ["/webhook", "/setup", "/predict", "/api/projects/5/strategy"])
def test_no_body_is_read_before_its_sender_is_known(locked, path):
    """(10-A4)"""
    answer = locked.open(path, method="POST", input_stream=_Unread(), content_length=100)
    assert answer.status_code == 401


@pytest.mark.parametrize("path", ["/webhook", "/setup", "/predict"])
def test_a_packed_body_is_refused_in_words(client, secret, path):
    """(10-A4)"""
    answer = client.post(path, data=gzip.compress(b"{}"), headers=secret | {"Content-Encoding": "gzip"})
    assert answer.status_code == 415 and "Content-Encoding" in answer.json["error"]


@pytest.mark.parametrize("extra", ["[" * 90_000, '{"params":' * 200 + "1" + "}" * 200, '{"batch_size": NaN}'])
def test_extra_params_that_are_no_json_are_a_400(client, world, extra):
    """(10-A4) 90,000 brackets in extra_params gave 500."""
    answer = client.post("/setup", json=SETUP | {"extra_params": extra})
    assert answer.status_code == 400 and "extra params" in answer.json["error"]
    assert world.services.projects.all() == []


def test_events_with_the_secret_are_taken(client, world, secret):
    answer = client.post("/webhook", json=CREATED, headers=secret)
    assert answer.status_code == 202 and world.jobs.backlog() == 1 and world.jobs.names() == ["absorb"]


@pytest.mark.parametrize("headers", [{}, {SECRET_HEADER: "guess"}, {SECRET_HEADER: "gu\xe9ss"}])
def test_events_without_the_secret_are_refused(client, world, headers):
    answer = client.post("/webhook", json=CREATED, headers=headers)
    assert answer.status_code == 401 and SECRET_HEADER in answer.json["error"] and world.jobs.backlog() == 0


def test_start_training_needs_no_secret_where_only_this_machine_can_call(client, world, locked):
    world.connect(3)
    world.jobs.names()
    assert client.post("/webhook", json=START).status_code == 202
    assert "cycle" in world.jobs.names()
    assert locked.post("/webhook", json=START).status_code == 401
    assert locked.post("/webhook", json=START, headers=BASIC).status_code == 202


@pytest.mark.parametrize("body", [{}, {"action": 5}, {"action": "NEW_EVENT", "project": {"id": 1}}, {"action": None}])
def test_unknown_events_are_taken_and_ignored(client, world, secret, body):
    assert client.post("/webhook", json=body, headers=secret).status_code == 202
    assert world.jobs.backlog() == 0


def test_no_json_to_the_webhook_is_a_400(client, secret):
    assert client.post("/webhook", data="<html>", headers=secret).status_code == 400
    assert client.post("/webhook", data="[" * 100_000).status_code == 401


def test_a_dead_queue_is_a_quick_503(client, world, secret):
    world.jobs.down = True
    answer = client.post("/webhook", json=CREATED, headers=secret)
    assert answer.status_code == 503 and answer.headers["Retry-After"] and "Redis" in answer.json["error"]
    assert client.get("/health").status_code == 200


PROTECTED = ["/", "/versions", "/api/projects", "/api/strategies"]


@pytest.mark.parametrize("path", PROTECTED)
def test_basic_auth_guards_everything_else(locked, path):
    refused = locked.get(path)
    assert refused.status_code == 401 and refused.json["error"] and "Basic" in refused.headers["WWW-Authenticate"]
    wrong = {"Authorization": "Basic " + base64.b64encode("ls:pẃ".encode()).decode()}
    assert locked.get(path, headers=wrong).status_code == 401
    assert locked.get(path, headers={"Authorization": "Bearer x"}).status_code == 401
    assert locked.get(path, headers=BASIC).status_code == 200


def test_health_is_open_but_tells_a_wrong_password(locked):
    assert locked.get("/health").status_code == 200
    assert locked.get("/health", headers=BASIC).status_code == 200
    assert (
        locked.get("/health", headers={"Authorization": "Basic " + base64.b64encode(b"ls:no").decode()}).status_code
        == 401
    )
    assert locked.post("/setup", json=SETUP).status_code == 401


def test_foreign_web_pages_are_refused(client, world, secret):
    foreign = {"Origin": "http://evil.example"}
    assert client.post("/setup", json=SETUP, headers=foreign).status_code == 403
    assert client.post("/webhook", json=CREATED, headers=foreign | secret).status_code == 403
    assert world.services.projects.all() == [] and world.jobs.callers() == []


EVERYTHING = [
    ("GET", "/", None),
    ("GET", "/versions", None),
    ("GET", "/api/projects", None),
    ("GET", "/nothing", None),
    ("POST", "/setup", SETUP),
    ("POST", "/predict", {"project": KEY, "tasks": []}),
    ("POST", "/webhook", START),
    ("POST", "/webhook", CREATED),
    ("PUT", f"/api/projects/{LS_ID}/strategy", {"name": "random"}),
]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:9090", "localhost.evil.example", "10.0.0.1"])
def test_under_a_foreign_name_only_health_answers(client, world, secret, host):
    """(10-A2) A name made to lead to us (DNS rebinding) could call /setup, /predict, /versions and START_TRAINING."""
    world.connect(3)
    before = (world.services.projects.all(), world.jobs.names())
    foreign = {"Host": host, "Origin": f"http://{host}"}
    for method, path, body in EVERYTHING:
        for more in ({}, secret):
            answer = client.open(path, method=method, json=body, headers=foreign | more)
            assert answer.status_code == 403 and "PUBLIC_URL" in answer.json["error"], (method, path)
    assert client.get("/health", headers=foreign).status_code == 200
    assert (world.services.projects.all(), world.jobs.submitted, world.jobs.callers()) == (before[0], [], [])


@pytest.mark.parametrize(
    "host", ["127.0.0.1:9090", "127.0.0.2", "localhost:9090", "LOCALHOST", "[::1]:9090", "lq.example.org", "web:9090"]
)
def test_our_own_names_are_served(world, tmp_path, host):
    """(10-A2) Loopback addresses, localhost, HOST and PUBLIC_URL's host."""
    ours = Settings(
        home=tmp_path, host="localhost" if "web" not in host else "web", public_url="https://lq.example.org"
    )
    client = create_app(world.services, ours).test_client()
    world.connect(3)
    for method, path, body in EVERYTHING:
        assert client.open(path, method=method, json=body, headers={"Host": host}).status_code != 403, (method, path)


def test_with_a_password_label_studio_may_call_us_by_any_name(locked):
    """(10-A2) A page under a foreign name has no password of ours: browsers keep one for the origin it was given to."""
    host = {"Host": "labelqueue.internal"}
    assert locked.post("/setup", json=SETUP, headers=host | BASIC).status_code == 200
    for method, path, body in EVERYTHING:
        assert locked.open(path, method=method, json=body, headers=host).status_code == 401


def test_health_proves_who_we_are_and_tells_no_secret(client, world, tmp_path):
    """(10-C5) The proof differs by challenge and by installation."""
    (tmp_path / "other").mkdir()
    other = World(tmp_path / "other")
    theirs = create_app(other.services, settings(tmp_path)).test_client()
    one, two = "0" * 32, "1" * 32
    said = [
        server.get(f"/health?challenge={number}").json["proof"] for server in (client, theirs) for number in (one, two)
    ]
    assert len(set(said)) == 4
    assert client.get(f"/health?challenge={one}").json["proof"] == said[0]
    assert said[0] == proof(world.services.projects.secret("instance"), one)
    for challenge in ("", "x", "0" * 33, "0" * 31 + "\u0660"):
        assert client.get("/health", query_string={"challenge": challenge}).json.keys() == {"status", "model_class"}


def test_a_form_cannot_change_anything(client, world):
    world.connect(3)
    path = f"/api/projects/{LS_ID}/strategy"
    assert client.put(path, data='{"name": "random"}', content_type="text/plain").status_code == 415
    assert world.project.strategy.name == "auto"


def test_headers_that_are_no_base64_and_no_address_get_an_answer_in_words(client) -> None:
    """(10-A5) A byte beyond ASCII in Authorization had no answer at all, a broken Origin had status 500."""
    odd = client.get("/versions", headers={"Authorization": "Basic \xff"})
    assert odd.status_code in (200, 401)
    refused = client.post("/setup", json={"project": "5.1"}, headers={"Origin": "http://["})
    assert refused.status_code == 403 and refused.get_json()["error"]

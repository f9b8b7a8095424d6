"""(10-A5) The description of our HTTP face: whole, true to the routes, and open to who may see the API."""

from __future__ import annotations

import jsonschema
import pytest
from flask import Flask

from backend.web import create_app, openapi
from tests.backend.requests import settings


@pytest.fixture
def app(world, tmp_path):
    return create_app(world.services, settings(tmp_path))


def test_every_route_is_described_and_nothing_else(app):
    routes = {
        (openapi.path_of(rule), method)
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    said = app.test_client().get("/api/openapi.json").json["paths"]
    assert routes == {(path, method.upper()) for path, methods in said.items() for method in methods}
    assert ("/webhook", "POST") in routes and ("/api/projects/{number}/strategy", "PUT") in routes


def test_every_operation_has_words_and_every_body_a_true_schema(app):
    document = openapi.document(app)
    for methods in document["paths"].values():
        for operation in methods.values():
            assert operation["summary"]
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            jsonschema.Draft202012Validator.check_schema(body)
    names = set(document["components"]["schemas"])
    assert {"Error", "ProjectStatus", "QueueItem", "StrategyCard", "Features", "Round", "Task"} <= names


def test_a_route_without_a_description_is_told():
    app = Flask("other", static_folder=None)
    app.add_url_rule("/new", view_func=lambda: "", endpoint="new")
    with pytest.raises(LookupError, match="new"):
        openapi.document(app)


def test_the_description_is_guarded_as_the_api_is(world, tmp_path):
    locked = create_app(world.services, settings(tmp_path, basic_auth_user="ls", basic_auth_pass="pw"))
    assert locked.test_client().get("/api/openapi.json").status_code == 401
    client = create_app(world.services, settings(tmp_path)).test_client()
    assert client.get("/api/openapi.json", headers={"Host": "evil.example"}).status_code == 403

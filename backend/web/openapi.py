"""The description of our whole HTTP face as OpenAPI 3.1, made of what stands beside the routes; /api/openapi.json."""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus

from flask import Blueprint, Flask, current_app, jsonify
from flask.typing import ResponseReturnValue
from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode
from werkzeug.routing import Rule

from backend import __version__
from backend.core.project.ourselves import SECRET_HEADER
from backend.web.describe import ANY, ID, STRING, Description, Schema, describe, described, shape

ERROR = shape(("id",), error={"type": "string", "minLength": 1}, id=STRING)
ERRORS = (400, 401, 403, 413, 503)  # that any route may answer; 404 and 415 where they can be
WRITES = {"PUT", "POST", "PATCH", "DELETE"}
SECURITY = {
    "password": {"type": "http", "scheme": "basic", "description": "where BASIC_AUTH_USER is set"},
    "secret": {"type": "apiKey", "in": "header", "name": SECRET_HEADER, "description": "of our webhook"},
}


def blueprint() -> Blueprint:
    made = Blueprint("openapi", __name__, url_prefix="/api")

    @made.get("/openapi.json")
    @describe(ANY)
    def openapi() -> ResponseReturnValue:
        """This description."""
        return jsonify(document(current_app))

    return made


def document(app: Flask) -> dict[str, object]:
    """All routes of `app`. Raises `LookupError` for a route that nothing is said of."""
    routes = [(rule, method) for rule in app.url_map.iter_rules() for method in _methods(rule)]
    answers, types = _answers(app)
    paths: dict[str, dict[str, Schema]] = {}
    for rule, method in sorted(routes, key=lambda route: (route[0].rule, route[1])):
        view = app.view_functions[rule.endpoint]
        paths.setdefault(path_of(rule), {})[method.lower()] = _operation(rule, method, view, answers[rule.endpoint])
    return {
        "openapi": "3.1.0",
        "info": {"title": "LabelQueue", "version": __version__},
        "paths": paths,
        "components": {"schemas": {"Error": ERROR, **types}, "securitySchemes": SECURITY},
        "security": [{}, {"password": []}],
    }


def path_of(rule: Rule) -> str:
    """`/a/<int:number>` as OpenAPI writes it, `/a/{number}`."""
    return re.sub(r"<(?:[^<>]+:)?(\w+)>", r"{\1}", rule.rule)


def _methods(rule: Rule) -> set[str]:
    return (rule.methods or set()) - {"HEAD", "OPTIONS"}


def _said(app: Flask, endpoint: str) -> Description:
    said = described(app.view_functions[endpoint])
    if said is None:
        raise LookupError(f"route {endpoint} has no @describe")
    return said


def _answers(app: Flask) -> tuple[dict[str, object], Schema]:
    """(endpoint -> schema of its answer, the schemas of the types that these name)."""
    serialization: JsonSchemaMode = "serialization"
    said = {rule.endpoint: _said(app, rule.endpoint).answer for rule in app.url_map.iter_rules()}
    typed = [
        (endpoint, serialization, TypeAdapter[object](answer))
        for endpoint, answer in said.items()
        if answer is not None and not isinstance(answer, dict)
    ]
    made, named = TypeAdapter.json_schemas(typed, ref_template="#/components/schemas/{model}")
    return said | {endpoint: schema for (endpoint, _), schema in made.items()}, named.get("$defs", {})


def _operation(rule: Rule, method: str, view: Callable[..., object], answer: object) -> Schema:
    said = described(view)
    assert said is not None
    ids = [{"name": name, "in": "path", "required": True, "schema": ID} for name in sorted(rule.arguments)]
    query = [{"name": name, "in": "query", "schema": schema} for name, schema in said.query.items()]
    made: dict[str, object] = {
        "operationId": rule.endpoint,
        "summary": (view.__doc__ or "").strip().split("\n", 1)[0],
        "responses": _responses(said, answer, known=not ids, writes=method in WRITES),
    }
    if ids or query:
        made["parameters"] = ids + query
    if said.body is not None:
        made["requestBody"] = {"required": True, "content": {"application/json": {"schema": said.body}}}
    if rule.rule == "/webhook":
        made["security"] = [{}, {"secret": []}, {"password": []}]
    return made


def _responses(said: Description, answer: object, *, known: bool, writes: bool) -> Schema:
    page = {"text/html; charset=utf-8": {"schema": STRING}}
    good = {"description": "done", "content": {"application/json": {"schema": answer}} if said.answer else page}
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    codes = [*ERRORS, *([] if known else [404]), *([415] if writes else [])]
    return {str(said.status): good} | {
        str(code): {"description": HTTPStatus(code).phrase, "content": error} for code in sorted(codes)
    }

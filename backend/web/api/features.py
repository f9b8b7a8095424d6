"""Features: their versions, and their renewal."""

from __future__ import annotations

from typing import get_args

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from backend.core.domain.training import Method
from backend.core.errors import UserError
from backend.core.renewal import renew, view
from backend.core.renewal.view import Features
from backend.core.services import Services
from backend.web.body import integer, json_object
from backend.web.describe import ID, STRING, describe, shape

RENEWAL = shape(
    ("method", "version"),
    action={"enum": ["start", "cancel", "rollback"]},
    method={"enum": [*get_args(Method), None]},
    version=ID,
)


def add_routes(made: Blueprint, services: Services) -> None:
    """The routes of this noun."""
    find = services.projects.by_ls_id

    @made.get("/projects/<project:number>/features")
    @describe(Features)
    def features(number: int) -> ResponseReturnValue:
        """The versions of the features, the advice, and the renewal under way."""
        return jsonify(view.features(services, find(number)).to_json())

    @made.post("/projects/<project:number>/renewal")
    @describe({"allOf": [shape(done=STRING, open=True), {"$ref": "#/components/schemas/Features"}]}, body=RENEWAL)
    def renewal(number: int) -> ResponseReturnValue:
        """Start or cancel a renewal of the features, or go back to a version."""
        body = json_object()
        action = str(body.get("action"))
        takes = {"start": {"method"}, "rollback": {"version"}}.get(action, set())
        if set(body) - takes - {"action"}:
            raise UserError('send {"action": "start"}, {"action": "cancel"} or {"action": "rollback", "version": 1}')
        version = integer(body["version"], "version") if "version" in body else None
        done = renew.act(services, find(number), action, method=body.get("method"), version=version)
        return jsonify({"done": done} | view.features(services, find(number)).to_json())

"""Our own API under /api: JSON in, JSON out; ID is Label Studio's project id, as people know it. One file a noun."""

from __future__ import annotations

from flask import Blueprint, current_app, request
from flask.typing import ResponseReturnValue

from backend.core.errors import UserError
from backend.core.services import Services
from backend.web.api import features, projects, rankings, settings, strategies, tasks
from backend.web.describe import described
from backend.web.errors import answer

NOUNS = (projects, rankings, strategies, settings, features, tasks)


def blueprint(services: Services) -> Blueprint:
    """All routes under /api, with the rules that hold for each."""
    made = Blueprint("api", __name__, url_prefix="/api")
    made.before_request(_only_json)
    made.before_request(_only_known_parameters)
    for noun in NOUNS:
        noun.add_routes(made, services)
    return made


def _only_json() -> ResponseReturnValue | None:
    """A web form can send no JSON content type, so that a foreign page cannot change anything."""
    if request.method in ("PUT", "POST", "PATCH", "DELETE") and not request.is_json:
        return answer(415, "send JSON, with Content-Type: application/json")
    return None


def _only_known_parameters() -> None:
    said = described(current_app.view_functions.get(request.endpoint or ""))
    unknown = sorted(set(request.args) - set(said.query if said else ()))
    if unknown:
        known = ", ".join(said.query) if said and said.query else "none"
        raise UserError(f"unknown parameter {', '.join(unknown)[:100]}; known: {known}")

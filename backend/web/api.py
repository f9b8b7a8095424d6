"""Our own API under /api: JSON in, JSON out; ID is Label Studio's project id, as people know it."""

from __future__ import annotations

from dataclasses import asdict
from typing import get_args

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from backend.core import learning, renewal, tuning, versions
from backend.core.catalog import catalog
from backend.core.domain import TaskState
from backend.core.errors import UserError
from backend.core.nudges import retry
from backend.core.services import Services
from backend.core.status import queue, status
from backend.core.strategy import switch
from backend.web.body import integer, json_object, query_integer
from backend.web.errors import answer

MOST_ROWS = 10_000


def blueprint(services: Services) -> Blueprint:
    made = Blueprint("api", __name__, url_prefix="/api")
    find = services.projects.by_ls_id

    @made.before_request
    def only_json() -> ResponseReturnValue | None:
        """A web form can send no JSON content type, so that a foreign page cannot change anything."""
        if request.method in ("PUT", "POST", "PATCH", "DELETE") and not request.is_json:
            return answer(415, "send JSON, with Content-Type: application/json")
        return None

    @made.get("/projects")
    def projects() -> ResponseReturnValue:
        return jsonify([status(services, project).to_json() for project in services.projects.all()])

    @made.get("/projects/<int(max=2147483647):number>")
    def project(number: int) -> ResponseReturnValue:
        return jsonify(status(services, find(number)).to_json())

    @made.get("/projects/<int(max=2147483647):number>/queue")
    def next_tasks(number: int) -> ResponseReturnValue:
        limit = query_integer("limit", 20, most=1000)
        return jsonify([item.to_json() for item in queue(services, find(number), limit)])

    @made.put("/projects/<int(max=2147483647):number>/strategy")
    def strategy(number: int) -> ResponseReturnValue:
        body = json_object()
        unknown = sorted(set(body) - {"name", "params"})
        if unknown or "name" not in body:
            raise UserError('send {"name": "margin", "params": {}}')
        chosen = switch(services, find(number).id, body["name"], body.get("params") or {})
        return jsonify({"name": chosen.name, "params": dict(chosen.params), "preset": find(number).preset})

    @made.get("/projects/<int(max=2147483647):number>/settings")
    def settings(number: int) -> ResponseReturnValue:
        return jsonify(tuning.current(find(number)))

    @made.put("/projects/<int(max=2147483647):number>/settings")
    def change(number: int) -> ResponseReturnValue:
        return jsonify(tuning.change(services, find(number), json_object()))

    @made.get("/projects/<int(max=2147483647):number>/features")
    def features(number: int) -> ResponseReturnValue:
        return jsonify(versions.features(services, find(number)).to_json())

    @made.get("/projects/<int(max=2147483647):number>/curve")
    def curve(number: int) -> ResponseReturnValue:
        return jsonify([item.to_json() for item in learning.curve(services, find(number))])

    @made.post("/projects/<int(max=2147483647):number>/renewal")
    def renew(number: int) -> ResponseReturnValue:
        body = json_object()
        action = body.get("action")
        takes = {"start": {"method"}, "rollback": {"version"}}.get(str(action), set())
        if set(body) - takes - {"action"}:
            raise UserError('send {"action": "start"}, {"action": "cancel"} or {"action": "rollback", "version": 1}')
        version = integer(body["version"], "version") if "version" in body else None
        done = renewal.act(services, find(number), str(action), method=body.get("method"), version=version)
        return jsonify({"done": done} | versions.features(services, find(number)).to_json())

    @made.get("/projects/<int(max=2147483647):number>/tasks")
    def tasks(number: int) -> ResponseReturnValue:
        state = request.args.get("state")
        if state is not None and state not in get_args(TaskState):
            raise UserError(f"state must be one of: {', '.join(get_args(TaskState))}")
        limit = query_integer("limit", 1000, most=MOST_ROWS)
        found = services.tasks.list(find(number).id, state=state, limit=limit)  # type: ignore[arg-type]
        return jsonify([asdict(task) for task in found])

    @made.post("/projects/<int(max=2147483647):number>/tasks/retry")
    def retry_tasks(number: int) -> ResponseReturnValue:
        ids = json_object().get("ids")
        if ids is not None:
            if not isinstance(ids, list) or len(ids) > MOST_ROWS:
                raise UserError(f"ids must be a list of at most {MOST_ROWS} task ids")
            ids = [integer(value, "a task id") for value in ids]
        return jsonify({"retried": retry(services, find(number), ids)})

    @made.get("/strategies")
    def strategies() -> ResponseReturnValue:
        return jsonify([card.to_json() for card in catalog()])

    return made

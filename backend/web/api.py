"""Our own API under /api: JSON in, JSON out; ID is Label Studio's project id, as people know it."""

from __future__ import annotations

from dataclasses import asdict
from typing import get_args

from flask import Blueprint, current_app, jsonify, request
from flask.typing import ResponseReturnValue

from backend.core.domain import RenewalMode, Task, TaskState
from backend.core.domain.training import Method
from backend.core.errors import UserError
from backend.core.learning import curve
from backend.core.learning.curve import Round
from backend.core.project import tuning
from backend.core.project.catalog import StrategyCard, catalog
from backend.core.project.status import ProjectStatus, QueueItem, queue, status
from backend.core.project.strategy import switch
from backend.core.queue.nudges import retry
from backend.core.renewal import renew, view
from backend.core.renewal.view import Features
from backend.core.services import Services
from backend.web.body import integer, json_object, query_integer
from backend.web.describe import ANY, ID, INTEGER, NULL, STRING, describe, described, either, many, shape
from backend.web.errors import answer

MOST_ROWS = 10_000

LIMIT = {"type": "integer", "minimum": 0, "maximum": 999_999_999}
STATE = {"enum": list(get_args(TaskState))}
STRATEGY = shape(("params",), name=STRING, params=either(ANY, NULL))
RENEWAL = shape(
    ("method", "version"),
    action={"enum": ["start", "cancel", "rollback"]},
    method={"enum": [*get_args(Method), None]},
    version=ID,
)
RETRY = shape(("ids",), ids=either(many(ID, maxItems=MOST_ROWS), NULL))
COUNT = {"type": ["integer", "string"], "minimum": 1, "maximum": tuning.MOST}
SWITCH = {"enum": [True, False, *tuning.SWITCH]}
SHARE = {"minimum": 0, "maximum": tuning.MOST_AUDIT}
SETTINGS_TAKEN = shape(
    tuple(tuning.SETTINGS),
    batch_size=COUNT,
    min_interval={"type": ["number", "string"], "minimum": 0, "maximum": tuning.MOST},
    head_size={**COUNT, "type": ["integer", "string", "null"]},
    preannotate=SWITCH,
    audit_share={"type": ["number", "string"], **SHARE},
    renewal={"enum": [*get_args(RenewalMode), *tuning.DEFAULT]},
    calibrate=SWITCH,
    learn_from=either(STRING, NULL),
)
SETTINGS = shape(
    batch_size=INTEGER,
    min_interval={"type": "number"},
    head_size=either(INTEGER, NULL),
    preannotate={"type": "boolean"},
    audit_share={"type": "number", **SHARE},
    renewal={"enum": [*get_args(RenewalMode), None]},
    calibrate={"type": "boolean"},
    learn_from=STRING,
)


def blueprint(services: Services) -> Blueprint:  # noqa: C901  (a function a route)
    made = Blueprint("api", __name__, url_prefix="/api")
    find = services.projects.by_ls_id

    @made.before_request
    def only_json() -> ResponseReturnValue | None:
        """A web form can send no JSON content type, so that a foreign page cannot change anything."""
        if request.method in ("PUT", "POST", "PATCH", "DELETE") and not request.is_json:
            return answer(415, "send JSON, with Content-Type: application/json")
        return None

    @made.before_request
    def only_known_parameters() -> None:
        said = described(current_app.view_functions.get(request.endpoint or ""))
        unknown = sorted(set(request.args) - set(said.query if said else ()))
        if unknown:
            known = ", ".join(said.query) if said and said.query else "none"
            raise UserError(f"unknown parameter {', '.join(unknown)[:100]}; known: {known}")

    @made.get("/projects")
    @describe(list[ProjectStatus])
    def projects() -> ResponseReturnValue:
        """Status of all connected projects."""
        return jsonify([status(services, project).to_json() for project in services.projects.all()])

    @made.get("/projects/<project:number>")
    @describe(ProjectStatus)
    def project(number: int) -> ResponseReturnValue:
        """Status of a project: counts, strategy, live ranking, accuracy, jobs, workers."""
        return jsonify(status(services, find(number)).to_json())

    @made.get("/projects/<project:number>/queue")
    @describe(list[QueueItem], query={"limit": LIMIT})
    def next_tasks(number: int) -> ResponseReturnValue:
        """The next tasks, each with the reason for its place; at most 1,000."""
        limit = query_integer("limit", 20, most=1000)
        return jsonify([item.to_json() for item in queue(services, find(number), limit)])

    @made.put("/projects/<project:number>/strategy")
    @describe(shape(name=STRING, params=ANY, preset=either(STRING, NULL)), body=STRATEGY)
    def strategy(number: int) -> ResponseReturnValue:
        """Rank by another strategy or preset from now on."""
        body = json_object("name", "params")
        name, params = body.get("name"), body.get("params")
        if not isinstance(name, str) or not isinstance(params, dict | None):
            raise UserError('send {"name": "margin", "params": {}}')
        chosen = switch(services, find(number).id, name, params or {})
        return jsonify({"name": chosen.name, "params": dict(chosen.params), "preset": find(number).preset})

    @made.get("/projects/<project:number>/settings")
    @describe(SETTINGS)
    def settings(number: int) -> ResponseReturnValue:
        """The settings of a project; null stands for the default."""
        return jsonify(tuning.current(find(number)))

    @made.put("/projects/<project:number>/settings")
    @describe(SETTINGS, body=SETTINGS_TAKEN)
    def change(number: int) -> ResponseReturnValue:
        """Change some settings; they act from the next learning round."""
        return jsonify(tuning.change(services, find(number), json_object()))

    @made.get("/projects/<project:number>/features")
    @describe(Features)
    def features(number: int) -> ResponseReturnValue:
        """The versions of the features, the advice, and the renewal under way."""
        return jsonify(view.features(services, find(number)).to_json())

    @made.get("/projects/<project:number>/curve")
    @describe(list[Round])
    def accuracies(number: int) -> ResponseReturnValue:
        """The accuracy at each learning round, oldest first."""
        return jsonify([item.to_json() for item in curve.curve(services, find(number))])

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

    @made.get("/projects/<project:number>/tasks")
    @describe(list[Task], query={"state": STATE, "limit": LIMIT})
    def tasks(number: int) -> ResponseReturnValue:
        """The tasks as we know them; at most 10,000."""
        state = request.args.get("state")
        if state is not None and state not in get_args(TaskState):
            raise UserError(f"state must be one of: {', '.join(get_args(TaskState))}")
        limit = query_integer("limit", 1000, most=MOST_ROWS)
        found = services.tasks.list(find(number).id, state=state, limit=limit)  # type: ignore[arg-type]
        return jsonify([asdict(task) for task in found])

    @made.post("/projects/<project:number>/tasks/retry")
    @describe(shape(retried=INTEGER), body=RETRY)
    def retry_tasks(number: int) -> ResponseReturnValue:
        """Embed failed tasks again: all, or those of `ids`."""
        ids = json_object("ids").get("ids")
        if ids is not None:
            if not isinstance(ids, list) or len(ids) > MOST_ROWS:
                raise UserError(f"ids must be a list of at most {MOST_ROWS} task ids")
            ids = [integer(value, "a task id") for value in ids]
        return jsonify({"retried": retry(services, find(number), ids)})

    @made.get("/strategies")
    @describe(list[StrategyCard])
    def strategies() -> ResponseReturnValue:
        """All strategies with what they need and their parameters."""
        return jsonify([card.to_json() for card in catalog()])

    return made

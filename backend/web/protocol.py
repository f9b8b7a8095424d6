"""Label Studio's ML-backend protocol as version 1.23.2 calls it: /health, /setup, /predict, /webhook, /versions.

/health and /setup are called by every page of Label Studio and must be quick; /webhook is waited for within the
annotator's request. Nothing here calls Label Studio or a model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import structlog
from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from backend.core.domain import TITLE, ls_id_of
from backend.core.errors import UserError
from backend.core.json_values import JSON
from backend.core.project.ourselves import proof
from backend.core.project.register import register
from backend.core.queue.predict import predict
from backend.core.services import Services
from backend.core.tasks import events
from backend.web import limits
from backend.web.body import at_most, integer, json_object, text
from backend.web.describe import ANY, ID, NULL, STRING, describe, either, many, shape

SCHEMA_LIMIT = 2_000_000  # characters of a label config
PARAMS_LIMIT = 100_000  # characters of extra params
CHALLENGE = re.compile(r"[0-9a-f]{32}", re.ASCII)

KEY = {"type": "string", "pattern": r"^[1-9][0-9]{0,9}(\.[0-9]{1,15})?$"}
SETUP = shape(
    ("schema", "extra_params"),
    open=True,
    project=KEY,
    schema=either({"type": "string", "maxLength": SCHEMA_LIMIT}, NULL),
    extra_params=either(ANY, {"type": "string", "maxLength": PARAMS_LIMIT}, NULL),
)
PREDICT = shape(open=True, project=KEY, tasks=many(shape(open=True, id=ID)))
PREDICTED = shape(results=many(shape(result=many(ANY), score={"type": "number"}, model_version=STRING)))
EVENT = {"type": "object", "properties": {"action": {}, "project": {}, "annotation": {}, "task": {}}}


def blueprint(services: Services) -> Blueprint:
    made = Blueprint("protocol", __name__)
    secret = services.projects.secret("instance")

    @made.get("/health")
    @describe(shape(("proof",), status=STRING, model_class=STRING, proof=STRING), query={"challenge": STRING})
    def health() -> ResponseReturnValue:
        """Whether we are up; to a challenge, also the proof that we are the installation that knows the answer."""
        challenge = request.args.get("challenge", "")
        proven = {"proof": proof(secret, challenge)} if CHALLENGE.fullmatch(challenge) else {}
        return jsonify({"status": "UP", "model_class": TITLE} | proven)

    @made.get("/versions")
    @describe(shape(versions=many(STRING)))
    def versions() -> ResponseReturnValue:
        """Label Studio asks without saying for which project, so that only our name can be told."""
        return jsonify({"versions": [TITLE]})

    @made.post("/setup")
    @describe(shape(model_version=STRING), body=SETUP)
    def setup() -> ResponseReturnValue:
        """Label Studio announces a project.

        `hostname` and `access_token` of the body are never used: whoever reaches this port could send them.
        """
        body = json_object()
        schema = text(body, "schema", longest=SCHEMA_LIMIT)
        version = register(services, _project(body), schema, _extra_params(body))
        return jsonify({"model_version": version})

    @made.post("/predict")
    @describe(PREDICTED, body=PREDICT)
    def predictions() -> ResponseReturnValue:
        """The stored guess for each task, in order."""
        body = json_object()
        tasks = body.get("tasks")
        if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
            raise UserError("tasks must be a list of tasks")
        at_most(len(tasks), "tasks", limits.BYTES_A_TASK)
        ids = [integer(task.get("id"), "the id of a task") for task in tasks]
        return jsonify({"results": predict(services, _project(body), ids)})

    @made.post("/webhook")
    @describe(shape(status=STRING), status=202, body=EVENT)
    def webhook() -> ResponseReturnValue:
        """Only takes the event in; a worker acts on it."""
        events.receive(services, json_object())
        return jsonify({"status": "taken"}), 202

    return made


def _project(body: Mapping[str, JSON]) -> str:
    """The project as "<id>.<created>"."""
    key = text(body, "project", longest=40)
    ls_id = ls_id_of(key)
    if ls_id is None:
        raise UserError("project must be of the form <id>.<created>")
    structlog.contextvars.bind_contextvars(ls_project=ls_id)
    return key


def _extra_params(body: Mapping[str, JSON]) -> JSON:
    given = body.get("extra_params")
    return text(body, "extra_params", longest=PARAMS_LIMIT) if isinstance(given, str) else given

"""Put the parts of the web process together."""

from __future__ import annotations

import time
import uuid
from typing import Any

import structlog
from flask import Flask, Response, g, request
from flask.json.provider import DefaultJSONProvider
from werkzeug.routing import IntegerConverter

from backend.core.services import Services
from backend.core.text.json_text import rounded
from backend.settings import Settings
from backend.web import api, errors, openapi, page, protocol
from backend.web.guard import Guard

log = structlog.get_logger()

SLOW = 0.5  # seconds; slower answers are logged as warnings: Label Studio waits for some of them


def create_app(services: Services, settings: Settings) -> Flask:
    """The Flask application. Keeps no state of its own; any number of processes may serve it."""
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_mb * 2**20
    app.json = _Json(app)
    app.jinja_options = {"finalize": page.shown}
    app.before_request(_begin)
    app.extensions["guard"] = guard = Guard(services, settings)
    app.before_request(guard.check)
    app.teardown_request(guard.done)
    app.after_request(_finish)
    errors.handle(app)
    app.url_map.converters["project"] = _ProjectNumber
    app.register_blueprint(protocol.blueprint(services))
    app.register_blueprint(api.blueprint(services))
    app.register_blueprint(openapi.blueprint())
    app.register_blueprint(page.blueprint(services, settings))
    return app


class _Json(DefaultJSONProvider):
    """Answers in the order of our dataclasses, their numbers without the noise of floats."""

    sort_keys = False

    def dumps(self, obj: object, **kwargs: Any) -> str:  # Any: json's own keywords
        return super().dumps(rounded(obj), **kwargs)


class _ProjectNumber(IntegerConverter):
    """Label Studio's number of a project; longer ones are no numbers: Python reads none of thousands of digits."""

    regex = r"[0-9]{1,10}"


def _begin() -> None:
    g.request_id = uuid.uuid4().hex[:12]
    g.began = time.perf_counter()
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request=g.request_id)


def _finish(response: Response) -> Response:
    """Headers for browsers, and a line in the log: never a body, which may hold tokens and people's names."""
    seconds = time.perf_counter() - g.began
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Request-Id"] = g.request_id
    response.headers.setdefault("Cache-Control", "no-store")
    write = log.warning if response.status_code >= 500 or seconds > SLOW else log.debug
    write(
        "request",
        method=request.method,
        path=request.path,
        status=response.status_code,
        milliseconds=round(seconds * 1000, 1),
    )
    return response

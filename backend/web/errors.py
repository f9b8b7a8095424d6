"""Every error as JSON; a user's mistake with its text, ours with an id that is in the log."""

from __future__ import annotations

import re
from collections.abc import Mapping

import structlog
from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import HTTPException

from backend.adapters.state import StateDown
from backend.core.errors import LabelQueueError, QueueDown, UnknownProject, UserError
from backend.core.text.masking import mask_text

log = structlog.get_logger()

REASON_LIMIT = 300  # characters of a status line's text


def handle(app: Flask) -> None:
    """Register the handlers."""
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(UserError, _user)
    app.register_error_handler(QueueDown, _queue)
    app.register_error_handler(StateDown, _database)
    app.register_error_handler(LabelQueueError, _ours)
    app.register_error_handler(Exception, _ours)


def answer(status: int, text: str, *, headers: Mapping[str, str] | None = None, **more: str) -> Response:
    """A JSON error whose status line repeats the text: of an error, Label Studio shows people only that line."""
    text = mask_text(text)
    response = jsonify({"error": text, **more})
    response.status = f"{status} {reason(text)}"
    response.headers.update(headers or {})
    return response


def reason(text: str) -> str:
    """Any text as a reason phrase: one line of latin-1 without control characters (RFC 9112, 4)."""
    line = " ".join(text.split()).encode("latin-1", "replace").decode("latin-1")
    return re.sub(r"[^\x20-\x7e\xa0-\xff]", "?", line)[:REASON_LIMIT].strip() or "Error"


def _http(error: HTTPException) -> Response:
    headers = {name: value for name, value in error.get_headers() if name in ("Allow", "WWW-Authenticate")}
    return answer(error.code or 500, error.description or error.name, headers=headers)


def _user(error: UserError) -> Response:
    return answer(404 if isinstance(error, UnknownProject) else 400, str(error))


def _queue(error: QueueDown) -> Response:
    log.warning("the queue is down", error=str(error), path=request.path)
    text = "the queue (Redis) does not answer; nothing is lost, Label Studio keeps the labels"
    return answer(503, text, headers={"Retry-After": "5"}, id=g.get("request_id", ""))


def _database(error: StateDown) -> Response:
    log.warning("the database is down", error=str(error), path=request.path)
    text = "the database of LabelQueue does not answer; nothing is lost, Label Studio keeps the labels"
    return answer(503, text, headers={"Retry-After": "5"}, id=g.get("request_id", ""))


def _ours(error: Exception) -> Response:
    known = isinstance(error, LabelQueueError)
    log.error("request failed", path=request.path, error=str(error), exc_info=None if known else error)
    number = g.get("request_id", "")
    return answer(503 if known else 500, f"internal error, see the log of LabelQueue for request {number}", id=number)

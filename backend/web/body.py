"""Read a request's JSON body, and refuse what is no JSON or too much, in words."""

from __future__ import annotations

from collections.abc import Mapping

from flask import request
from werkzeug.exceptions import UnsupportedMediaType

from backend.core.domain import LARGEST_ID
from backend.core.errors import UserError
from backend.core.json_values import JSON
from backend.core.text.json_text import parse


def json_object(*known: str) -> dict[str, JSON]:
    """The body as an object, whatever its content type says; with names, no others may stand in it."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("send the body as it is, without Content-Encoding")
    body = parse(request.get_data(cache=True), "the body")
    if not isinstance(body, dict):
        raise UserError("the body must be a JSON object")
    unknown = sorted(set(body) - set(known)) if known else []
    if unknown:
        raise UserError(f"unknown {', '.join(unknown)[:100]} in the body; known: {', '.join(known)}")
    return body


def text(body: Mapping[str, JSON], key: str, *, longest: int) -> str:
    """A text under `key`; missing counts as empty."""
    value = body.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UserError(f"{key} must be a text")
    if len(value) > longest:
        raise UserError(f"{key} has {len(value)} characters, at most {longest} are taken")
    return value


def integer(value: object, name: str) -> int:
    """An id."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST_ID:
        raise UserError(f"{name} must be a whole number below 2**31")
    return value


def query_integer(name: str, default: int, *, most: int) -> int:
    """A number in the query string, in [0, most]."""
    given = request.args.get(name, str(default))
    if not (given.isascii() and given.isdigit() and len(given) < 10):
        raise UserError(f"{name} must be a whole number")
    return min(int(given), most)

"""Read a request's JSON body, and refuse what is no JSON or too much, in words."""

from __future__ import annotations

from collections.abc import Mapping

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from backend.core.domain import LARGEST_ID
from backend.core.errors import UserError
from backend.core.json_values import JSON
from backend.core.text.json_text import parse
from backend.web import limits


def json_object(*known: str) -> dict[str, JSON]:
    """The body as an object, whatever its content type says; with names, no others may stand in it."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("send the body as it is, without Content-Encoding")
    data = request.get_data(cache=True)
    at_most(data.count(b"{") + data.count(b"["), "lists and objects", limits.BYTES_A_VALUE)
    body = parse(data, "the body")
    if not isinstance(body, dict):
        raise UserError("the body must be a JSON object")
    unknown = sorted(set(body) - set(known)) if known else []
    if unknown:
        raise UserError(f"unknown {', '.join(unknown)[:100]} in the body; known: {', '.join(known)}")
    return body


def at_most(count: int, what: str, bytes_each: int) -> None:
    """Raise a 413 for more of these than the largest body that this caller may send holds, at `bytes_each`."""
    most = (request.max_content_length or 0) // bytes_each
    if count > most:
        raise RequestEntityTooLarge(f"the body has {count:,} {what}; at most {most:,} are taken here at once")


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

"""The one reader of JSON texts that come from outside: request bodies, extra params, events, the command line."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import NoReturn

from backend.core.errors import UserError
from backend.core.json_values import JSON

DEEPEST = 100  # levels of lists and objects; label configs, tasks and regions of Label Studio have about ten
LONGEST_INT = 300  # digits; a float holds 308, and Python reads no more than 4,300
_NESTING = (list, dict)
_HALF = re.compile(r"\\u[dD][89a-fA-F]")  # of a surrogate pair: two of them make a character, one alone none


class BadJson(UserError, ValueError):
    """The text is no JSON that we take; says why. A `ValueError` too, as of `json.loads`."""


def parse(text: str | bytes, what: str) -> JSON:
    """The value of a JSON text; `what` names it in errors ("the body").

    Stricter than Python's reader: no NaN or Infinity (1e999 included), no key twice in an object, no half of a
    surrogate pair, UTF-8 only, at most `DEEPEST` levels, whole numbers of at most `LONGEST_INT` digits. Raises
    `BadJson`. Cost: about twice Python's reader.
    """
    try:
        given = text.decode() if isinstance(text, bytes) else text
        value: JSON = json.loads(
            given, object_pairs_hook=_object, parse_constant=_constant, parse_float=_float, parse_int=_int
        )
        if _HALF.search(given):
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise BadJson(f"{what} is no JSON: half of a surrogate pair is no character") from None
    except UnicodeDecodeError:
        raise BadJson(f"{what} is no JSON: it is not UTF-8") from None
    except RecursionError:
        raise BadJson(_too_deep(what)) from None
    except ValueError as error:
        raise BadJson(f"{what} is no JSON: {error}") from None
    if not _shallow(value):
        raise BadJson(_too_deep(what))
    return value


def rounded(value: object) -> object:
    """A value for JSON that people and programs read, its floats without the noise of sums: 1.0 for 0.9999999999999998.

    Twelve digits below a million; above it, as in seconds since the epoch, three decimals.
    """
    if isinstance(value, float):
        return round(value, 3) if abs(value) >= 1e6 else float(f"{value:.12g}")
    if isinstance(value, Mapping):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list | tuple) else value


def _too_deep(what: str) -> str:
    return f"{what} is nested too deeply; at most {DEEPEST} levels are taken"


def _shallow(value: JSON) -> bool:
    level: list[object] = [value]
    for _ in range(DEEPEST):
        level = [
            child
            for item in level
            if isinstance(item, _NESTING)
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, _NESTING)
        ]
        if not level:
            return True
    return False


def _object(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
    made = dict(pairs)
    if len(made) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        twice = max(counts, key=counts.__getitem__)
        raise ValueError(f"{twice[:40]!r} stands twice in one object")
    return made


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _int(text: str) -> int:
    if len(text) > LONGEST_INT:
        raise ValueError(f"{text[:40]}... is too large")
    return int(text)


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]}{'...' * (len(text) > 40)} is too large")
    return number

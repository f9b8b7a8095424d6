"""Where a setting may stand: in the environment, in a file that NAME_FILE names, in labelqueue.env in the home."""

from __future__ import annotations

import difflib
import io
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from backend.core.errors import BadSetting

HOME_FILE = "labelqueue.env"
DEBUG = "LABELQUEUE_DEBUG"
ENVIRONMENT_ONLY = (DEBUG, "SSL_CERT_FILE")
"""Read, but not in the file: before it, or by other libraries."""


def find(names: Iterable[str], environ: Mapping[str, str], label: str = "") -> tuple[str, str] | None:
    """(value, where it came from) of the first of `names` that is set; empty texts count as not set."""
    names = tuple(names)
    for name in names:
        if environ.get(name, "").strip():
            return environ[name].strip(), f"{label}{name}"
    for name in names:
        path = environ.get(f"{name}_FILE", "")
        if path:
            try:
                return Path(path).read_text(encoding="utf-8").strip(), f"{label}{name}_FILE"
            except (OSError, ValueError) as error:  # ValueError: no UTF-8, or no path at all
                raise BadSetting(f"{name}_FILE={path} cannot be read: {error}") from error
    return None


def home_file(home: str) -> dict[str, str]:
    """What labelqueue.env in the home says: NAME=value lines."""
    return {name: value for name, value, _ in _lines(home) if name and value}


def strangers(home: str, known: Iterable[str], environ: Mapping[str, str] = os.environ) -> list[str]:
    """What is set and read by nobody, in words: lines of labelqueue.env, and slips in the environment."""
    taken = {full for name in known for full in (name, f"{name}_FILE")}
    told = []
    for name, value, line in _lines(home):
        if not name or value is None:
            told.append(f"line {line} of {HOME_FILE} is not of the form NAME=value and is passed over")
        elif name in ENVIRONMENT_ONLY:
            told.append(f"{name} in {HOME_FILE} has no effect: it is read from the environment only")
        elif name not in taken:
            told.append(f"{name} in {HOME_FILE} is no setting of LabelQueue and is passed over{_meant(name, taken)}")
    for name in sorted(environ):
        meant = _meant(name, taken) if name.startswith("LABELQUEUE_") and name != DEBUG and name not in taken else ""
        if meant:  # others may be of programs around us
            told.append(f"{name} in the environment is no setting of LabelQueue{meant}")
    return told


def _meant(name: str, taken: set[str]) -> str:
    close = difflib.get_close_matches(name.upper(), sorted(taken), n=1, cutoff=0.75)
    return f"; did you mean {close[0]}?" if close else ""


def _lines(home: str) -> list[tuple[str | None, str | None, int]]:
    """(name, value, number) of each line that says something; a line that cannot be read has no name or no value."""
    try:
        path = Path(home).expanduser() / HOME_FILE
        if not os.path.lexists(path):
            return []
        if not path.is_file() and not path.is_char_device():  # as /dev/null is
            raise BadSetting(f"{path} is no file; make it one with NAME=value lines, or move it away")
        content = path.read_bytes()
    except (OSError, RuntimeError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise BadSetting(f"the home folder or {HOME_FILE} in it cannot be read ({why}); see LABELQUEUE_HOME") from error
    from dotenv.parser import parse_stream

    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadSetting(f"{path} is not UTF-8 text ({error.reason}); save it as UTF-8") from error
    items = parse_stream(io.StringIO(text))
    return [(item.key, item.value, item.original.line) for item in items if item.key or item.error]

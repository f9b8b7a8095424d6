"""Structured logs on stderr, one line an event, as JSON or text; our own and the libraries' in the same form.

Context (project, job, ranking, request) is bound with `structlog.contextvars`. Secrets of addresses are masked in all
values and exception texts, and known secrets in the finished line, whatever they came in. A value stays on its line and
cannot act on a terminal: see `_fit`.
"""

from __future__ import annotations

import base64
import json
import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import quote

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from backend.core.text.masking import MASK, mask_text
from backend.core.text.printable import json_printable, printable, printable_lines
from backend.settings import Settings

SHORTEST = 4  # characters; masking shorter texts would only riddle the log
NOISY = ("httpx", "httpcore", "urllib3", "alembic", "PIL", "asyncio")


def configure(settings: Settings, *, process: str, least: str | None = None) -> None:
    """Send structlog and `logging` to stderr; `process` ("web", "worker", "up", "cli") is on every line.

    `least` is a level that goes before the settings'.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _with("process", process),
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _fit if settings.log_format == "text" else _masked,
                *_renderer(settings.log_format),
                Masker(secret_forms(settings)),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel((least or settings.log_level).upper())
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)


def _renderer(form: str) -> list[Processor]:
    if form == "json":
        return [
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(default=str, ensure_ascii=False),
            lambda _, __, line: json_printable(str(line)),
        ]
    # plain tracebacks: rich ones would show the local variables of every frame
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]


def _masked(_: WrappedLogger, __: str, event: EventDict) -> dict[str, object]:
    """The event with the secrets of addresses hidden in all its values."""
    return {key: _each(value, mask_text) for key, value in event.items()}


def _fit(_: WrappedLogger, __: str, event: EventDict) -> dict[str, object]:
    """The same for a text log, where a value must also not begin a line of its own: a stack trace is indented."""
    trace = event.pop("exception", None)
    made = {key: _each(value, lambda text: printable(mask_text(text))) for key, value in event.items()}
    if trace:
        made["exception"] = printable_lines(mask_text(trace)).replace("\n", "\n    ")
    return made


def _each(value: object, change: Callable[[str], str]) -> object:
    """The value with its texts changed; what is no JSON counts as its text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {change(str(key)): _each(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_each(item, change) for item in value]
    return change(str(value))


def _with(key: str, value: str) -> Processor:
    def add(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event[key] = value
        return event

    return add


class Masker:
    """Last processor: hides every given text in the rendered line."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = sorted({s for s in secrets if len(s) >= SHORTEST}, key=len, reverse=True)

    def __call__(self, _: WrappedLogger, __: str, line: EventDict | str) -> str:
        text = str(line)
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return text


def secret_forms(settings: Settings) -> list[str]:
    """The secrets as they are, inside JSON, inside a URL and as HTTP basic auth."""
    plain = settings.secrets()
    forms = [form for s in plain for form in (s, json.dumps(s)[1:-1], json.dumps(s, ensure_ascii=False)[1:-1])]
    forms += [quote(s, safe="") for s in plain]
    if settings.basic_auth:
        forms.append(base64.b64encode(":".join(settings.basic_auth).encode()).decode())
    return forms

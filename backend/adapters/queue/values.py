"""What stands in Redis as our objects; and what Redis says, as words. Others may write there: what is no value of ours
is passed over, for one bad item must not stop the good ones."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import structlog
from redis import AuthenticationError, BusyLoadingError, RedisError, ResponseError

from backend.core.domain import JobView, WorkerView
from backend.core.json_values import JSON
from backend.core.text.json_text import parse
from backend.core.text.masking import mask_text

log = structlog.get_logger()

LONGEST_SHOWN = 200  # characters of what Redis says
REFUSALS = (  # sign in Redis' answer, what it means, the way out
    ("MISCONF", "takes no writes", "make room on the disk that holds its data, and see its log"),
    ("No space left", "takes no writes", "make room on the disk that holds its data"),
    ("OOM command", "is out of memory", "raise its maxmemory; its maxmemory-policy must be noeviction"),
    ("READONLY", "is a replica", "set REDIS_URL to the primary"),
    (
        "WRONGTYPE",
        "holds something else under a key of ours",
        "give LabelQueue a database of its own in REDIS_URL (.../1), or delete the keys labelqueue:*: nothing is lost",
    ),
    ("NOPERM", "does not let our user do that", "allow it the keys labelqueue* and rq:*, and scripts"),
)


def events_of(raw: Iterable[bytes]) -> list[dict[str, JSON]]:
    """The events among the items of a list; what is none is said once."""
    found, strange = [], 0
    for item in raw:
        try:
            event = parse(item, "an event")
        except (ValueError, RecursionError):
            event = None
        if isinstance(event, dict):
            found.append(event)
        else:
            strange += 1
    if strange:
        log.warning("passed over what is no event in the queue", items=strange)
    return found


def worker_of(beat: bytes) -> WorkerView | None:
    """A sign of life; None if another version or program wrote it."""
    try:
        return WorkerView(**json.loads(beat))
    except (TypeError, ValueError, RecursionError):
        return None


def job_of(
    key: str, running: int, queued: int, info: Mapping[bytes, bytes], failed: Mapping[bytes, bytes]
) -> JobView | None:
    """A job for people; None if it is gone, or if what is told of it cannot be read."""
    if not (running or queued or failed):
        return None
    try:
        about = {name.decode(): value.decode() for name, value in {**failed, **info}.items()}
        return JobView(
            key=key,
            name=about.get("name", key.split(":", 1)[0]),
            project=int(about.get("project", 0)) or None,
            state="running" if running else "queued" if queued else "failed",
            done=int(about.get("done", 0)),
            total=int(about.get("total", 0)),
            rate=float(about.get("rate", 0.0)),
            since=float(about["since"]) if "since" in about else None,
            error=about.get("error", ""),
        )
    except ValueError:
        return None


def texts_of(items: Iterable[bytes]) -> list[str]:
    """Members of a set as sorted texts; what is no text is left out."""
    found = []
    for item in items:
        try:
            found.append(item.decode())
        except UnicodeDecodeError:
            continue
    return sorted(found)


def in_words(error: RedisError, where: str) -> str:
    """Why Redis at `where` does not do what we ask, and the way out: down and refusing are two things."""
    said = mask_text(str(error).rpartition("caused error: ")[2])[:LONGEST_SHOWN]
    if isinstance(error, AuthenticationError) or said.startswith(("NOAUTH", "WRONGPASS")):
        return f"Redis at {where} does not let us in ({said}); correct user and password in REDIS_URL"
    if isinstance(error, BusyLoadingError):
        return f"Redis at {where} is still loading its data; it answers when that is done"
    for sign, what, cure in REFUSALS:
        if sign in said:
            return f"Redis at {where} {what} ({said}); {cure}"
    if isinstance(error, ResponseError):
        return f"Redis at {where} refuses ({said}); is it Redis 6.2 or Valkey, or newer?"
    start = "run `labelqueue up`" if where.startswith("unix:") else "start it"
    return f"Redis does not answer at {where} ({said}); {start}, or set REDIS_URL to where it runs"

"""Wait for a condition with a limit: what tests do instead of sleeping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(
    condition: Callable[[], T],
    limit: float = 30.0,
    *,
    what: object = "",
    every: float = 0.1,
    tell: Callable[[], object] = str,
) -> T:
    """The first true value of `condition`; fails after `limit` seconds, naming `what` and adding what `tell` knows."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {limit:.0f} s: {what or condition}; last seen {value!r}\n{tell()}")
        time.sleep(every)

"""Ask our own web process whether it is there."""

from __future__ import annotations

import urllib.error
import urllib.request

from backend.adapters.net.tls import tls_trouble
from backend.core.domain import TITLE
from backend.core.text.json_text import parse


def reach(url: str, timeout: float = 3.0) -> str:
    """Why LabelQueue does not answer at `url` (its /health), or "". Goes past any proxy: it is our own address."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=timeout) as answer:
            said = parse(answer.read(10_000), "its answer")
    except urllib.error.HTTPError as error:
        return f"it answers {error.code}"
    except (OSError, ValueError) as error:
        said_why = str(getattr(error, "reason", error)) or type(error).__name__
        return "; ".join(part for part in (said_why, tls_trouble(error)) if part)
    known = isinstance(said, dict) and said.get("model_class") == TITLE
    return "" if known else "something else than LabelQueue answers there"

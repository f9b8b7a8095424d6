"""Numbers as people write them: finite, in digits 0-9; not what only Python reads (1_000, digits of other scripts)."""

from __future__ import annotations

import math
import re

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_DECIMAL = re.compile(r"[+-]?([0-9]{1,300}(\.[0-9]{0,300})?|\.[0-9]{1,300})([eE][+-]?[0-9]{1,3})?")


def whole(text: str) -> int:
    """Raises `ValueError` with words for people."""
    if not _WHOLE.fullmatch(text.strip()):
        raise ValueError("must be a whole number in digits, as 20")
    return int(text)


def decimal(text: str) -> float:
    """A finite number. Raises `ValueError` with words for people."""
    value = float(text) if _DECIMAL.fullmatch(text.strip()) else math.nan
    if not math.isfinite(value):
        raise ValueError("must be a finite number in digits, as 20 or 0.5")
    return value

"""Names for whole ways of working: a selector with or without renewal of the features and ActiveDC's training."""

from __future__ import annotations

from dataclasses import dataclass

import selection
from backend.core.domain import Strategy
from backend.core.errors import BadSetting


@dataclass(frozen=True, slots=True)
class Preset:
    """`renew`: the features are renewed when the rule says so (ASVP); `calibrate`: fine-tuning gets ActiveDC's rows."""

    name: str
    strategy: Strategy
    renew: bool = False
    calibrate: bool = False


def preset(name: str) -> Preset:
    """The preset called `name`: `svpp-SELECTOR` (features as they are), `asvp-SELECTOR` (renewed), `activedc`, or the
    name of a selector, which is the same as svpp-. Raises `BadSetting` with the known names.
    """
    if name == "activedc":
        return Preset(name, Strategy("activeft"), calibrate=True)
    start, _, rest = name.partition("-")
    selector = rest if start in ("svpp", "asvp") else name
    try:
        selection.entry(selector)
    except selection.SelectionError as error:
        raise BadSetting(
            f"{error}; beside selectors there are activedc, and svpp-SELECTOR and asvp-SELECTOR "
            "(without and with renewal of the features)"
        ) from error
    return Preset(name, Strategy(selector), renew=start == "asvp")

"""A guess as the `result` of a prediction."""

from __future__ import annotations

from typing import Any

from backend.core.domain import Guess, Target
from backend.core.kinds import register


def regions(target: Target, guess: Guess | None) -> list[dict[str, Any]]:
    """Empty where there is no guess, none of the classes is guessed, or where Label Studio would not show it."""
    family = register.named(target.family)
    if guess is None or family is None or family.write is None or not target.suggests:
        return []
    if guess.present == ():
        return []
    sort, value = family.write(target, [guess.choice] if guess.present is None else guess.present)
    return [
        {
            "from_name": target.tag,
            "to_name": target.about,
            "type": sort,
            "value": {sort: value},
            "score": round(guess.confidence, 6),
        }
    ]

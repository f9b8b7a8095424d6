"""What we learn from Label Studio's annotations: one choice, or none, or a skip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from backend.core.domain import Annotation, Guess, LabelConfig

LONGEST = 1000  # characters of a class name; longer ones are no class names


def choices_in(result: Any) -> list[tuple[str, tuple[str, ...]]]:
    """(from_name, choices) of every Choices region of an annotation's result; anything else is passed over."""
    found = []
    for region in result if isinstance(result, list) else []:
        if not isinstance(region, Mapping) or region.get("type") != "choices":
            continue
        value = region.get("value")
        names = value.get("choices") if isinstance(value, Mapping) else None
        if isinstance(names, list):
            kept = tuple(name for name in names[:2] if isinstance(name, str) and len(name) <= LONGEST)
            found.append((str(region.get("from_name"))[:LONGEST], kept))
    return found


def single_choice(choices: Sequence[tuple[str, tuple[str, ...]]], from_name: str | None) -> str | None:
    """The one choice made with the tag `from_name`; None if there is none, or more than one."""
    made = [name for tag, names in choices if tag == from_name for name in names]
    return made[0] if len(made) == 1 else None


def parse_time(text: Any) -> float:
    """Label Studio's ISO time as seconds since the epoch; 0 for what is no time, so that it never wins."""
    if not isinstance(text, str):
        return 0.0
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return 0.0
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def parse_annotation(raw: Mapping[str, Any], from_name: str | None) -> Annotation:
    """An annotation as the API and the webhooks send it."""
    return Annotation(
        id=int(raw["id"]),
        task_id=int(raw["task"]),
        choice=single_choice(choices_in(raw.get("result")), from_name),
        skipped=bool(raw.get("was_cancelled")),
        updated_at=parse_time(raw.get("updated_at") or raw.get("created_at")),
    )


def regions(config: LabelConfig, guess: Guess | None) -> list[dict[str, Any]]:
    """A guess as the `result` of a prediction; empty where there is none or the config takes no single choice."""
    if guess is None or not config.single_choice or config.from_name is None:
        return []
    return [
        {
            "from_name": config.from_name,
            "to_name": config.to_name,
            "type": "choices",
            "value": {"choices": [guess.choice]},
            "score": round(guess.confidence, 6),
        }
    ]

"""What we learn from Label Studio's annotations: one choice, or nothing; and whether they are skips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any

from backend.core.domain import Annotation, Guess, LabelConfig

LONGEST = 1000  # characters of a class name; longer ones are no class names
MOST, TEXT = 500, 20_000  # choices of one region, and their characters in all: nothing larger says one class

Name = str | tuple[str, ...]
"""A choice as Label Studio writes it: its name, or with nested choices the names on the way down to it."""


def choices_in(result: Any) -> list[tuple[str, tuple[Name, ...]]]:
    """(from_name, choices) of every Choices region of an annotation's result; anything else is passed over."""
    found = []
    for region in result if isinstance(result, list) else []:
        if not isinstance(region, Mapping) or region.get("type") != "choices":
            continue
        value = region.get("value")
        names = value.get("choices") if isinstance(value, Mapping) else None
        if isinstance(names, list):
            kept = tuple(name for name in map(_name, names[: MOST + 1]) if name is not None)
            small = len(names) <= MOST and sum(len("".join(name)) for name in kept) <= TEXT
            found.append((str(region.get("from_name"))[:LONGEST], kept if small else ()))
    return found


def _name(raw: Any) -> Name | None:
    if isinstance(raw, str):
        return raw if len(raw) <= LONGEST else None
    if isinstance(raw, list | tuple) and raw and all(isinstance(part, str) for part in raw):
        return tuple(raw) if sum(map(len, raw)) <= LONGEST else None
    return None


def the_choice(choices: Sequence[tuple[str, Sequence[Name]]], config: LabelConfig) -> str | None:
    """The one class that was chosen with the tag we learn from; None if there is none, or more than one."""
    if not config.single_choice:
        return None
    made = [name for tag, names in choices if tag == config.from_name for name in names]
    if config.nested:
        return _one_path([(name,) if isinstance(name, str) else tuple(name) for name in made])
    return made[0] if len(made) == 1 and isinstance(made[0], str) else None


def _one_path(paths: Sequence[tuple[str, ...]]) -> str | None:
    """The lowest choice under which all are, if it was chosen too: ticking one ticks all below it.

    So ["Animal"], ["Animal", "Cat"], ["Animal", "Dog"] is a tick of Animal; with Cat as the only choice below it, Cat.
    """
    lowest = [path for path in paths if not any(other[: len(path)] == path and other != path for other in paths)]
    together = zip(*lowest, strict=False)
    shared = tuple(level[0] for level in takewhile(lambda level: len(set(level)) == 1, together))
    return path_name(shared) if shared in paths else None


def path_name(path: Sequence[str]) -> str:
    r"""One name for a path of choices: Animal/Cat. A slash within a choice's own name is written \/, a backslash \\."""
    return "/".join(part.replace("\\", r"\\").replace("/", r"\/") for part in path)


def parse_time(text: Any) -> float:
    """Label Studio's ISO time as seconds since the epoch; 0 for what is no time, so that it never wins."""
    if not isinstance(text, str):
        return 0.0
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return 0.0
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def parse_annotation(raw: Mapping[str, Any], config: LabelConfig) -> Annotation:
    """An annotation as the API and the webhooks send it."""
    return Annotation(
        id=int(raw["id"]),
        task_id=int(raw["task"]),
        choice=the_choice(choices_in(raw.get("result")), config),
        skipped=bool(raw.get("was_cancelled")),
        updated_at=parse_time(raw.get("updated_at") or raw.get("created_at")),
    )


def regions(config: LabelConfig, guess: Guess | None) -> list[dict[str, Any]]:
    """A guess as the `result` of a prediction; empty where there is none or the config takes no single choice.

    Of nested choices too: Label Studio drops predictions that hold a path, and its editor does not tick a bare name.
    """
    if guess is None or not config.single_choice or config.nested or config.from_name is None:
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

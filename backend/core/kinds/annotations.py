"""An annotation as Label Studio sends it, read by the target of its project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from backend.core.domain import Annotation, Label, Target
from backend.core.kinds import register
from backend.core.kinds.said import Said, said


def label_of(told: Sequence[Said], target: Target) -> Label | None:
    """What is learnt of an annotation; None: nothing that can be used.

    Where sets of classes are learnt, an annotation that names none is one of which nothing is there.
    """
    family = register.named(target.family)
    mine = [names for tag, names in told if tag == target.tag]
    if family is None or None in mine:
        return None
    return family.read(target, [name for names in mine for name in names or ()])


def parse_annotation(raw: Mapping[str, Any], target: Target) -> Annotation:
    """An annotation as the API and the webhooks send it."""
    return Annotation(
        id=int(raw["id"]),
        task_id=int(raw["task"]),
        label=label_of(said(raw.get("result")), target),
        skipped=bool(raw.get("was_cancelled")),
        updated_at=parse_time(raw.get("updated_at") or raw.get("created_at")),
    )


def parse_time(text: Any) -> float:
    """Label Studio's ISO time as seconds since the epoch; 0 for what is no time, so that it never wins."""
    if not isinstance(text, str):
        return 0.0
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return 0.0
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()

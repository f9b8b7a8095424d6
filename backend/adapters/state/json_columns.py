"""JSON columns as frozen dataclasses. What another version of ours wrote beside them is passed over, not refused."""

from __future__ import annotations

from pydantic import TypeAdapter

from backend.core.domain import LearningReport

_LEARNING = TypeAdapter(LearningReport)


def learning_report(raw: object) -> LearningReport:
    """What `LearningReport.to_json` wrote. Raises `ValueError` for anything else."""
    sets = {"sets": raw} if isinstance(raw, dict) and "macro_f1" in raw else {}
    return _LEARNING.validate_python({**raw, **sets} if isinstance(raw, dict) else raw)

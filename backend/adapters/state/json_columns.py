"""JSON columns as frozen dataclasses. What another version of ours wrote beside them is passed over, not refused."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import TypeAdapter

from backend.core.domain import LearningReport
from backend.core.domain.training import FeatureReport

_LEARNING = TypeAdapter(LearningReport)
_FEATURES = TypeAdapter(FeatureReport)


def learning_report(raw: object) -> LearningReport:
    """What `LearningReport.to_json` wrote. Raises `ValueError` for anything else."""
    sets = {"sets": raw} if isinstance(raw, dict) and "macro_f1" in raw else {}
    return _LEARNING.validate_python({**raw, **sets} if isinstance(raw, dict) else raw)


def feature_report(raw: Mapping[str, object]) -> FeatureReport:
    """The entries of a version's report, which stand side by side. Raises `ValueError` if one has another shape."""
    training = {"training": raw} if "epochs" in raw else {}
    judgement = {"judgement": raw} if "accuracy_old" in raw else {}
    return _FEATURES.validate_python({**raw, **training, **judgement})

"""What users of `label-studio-ml` import: `from backend.label_studio_ml import LabelQueueModel`.

The class is made when it is first asked for, because `label-studio-ml` is no requirement of ours.
"""

from __future__ import annotations

from functools import cache

from backend import settings, wiring
from backend.adapters import ml_sdk
from backend.core.errors import BadSetting
from backend.core.services import Services


@cache
def _services() -> Services:
    return wiring.services(settings.load())


@cache
def _model() -> type:
    try:
        from label_studio_ml.model import LabelStudioMLBase
    except ImportError as error:
        raise BadSetting(
            f"label-studio-ml cannot be imported ({error}); see docs/label-studio-ml.md, or use `labelqueue serve`, "
            "which speaks the same protocol and needs no label-studio-ml"
        ) from error
    model = ml_sdk.model_class(LabelStudioMLBase, _services)
    model.__module__ = __name__  # where pickle finds it: 1.0.9 handles each event in a process of its own
    return model


def __getattr__(name: str) -> type:
    if name == "LabelQueueModel":
        return _model()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

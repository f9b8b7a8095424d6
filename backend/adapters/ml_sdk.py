"""The service as a model class of `label-studio-ml`, for those who host their models that way.

`model_class(base, services)` makes it from the `LabelStudioMLBase` that is installed: 2.x (a new model for each
request, `setup`, `fit(event, data)`) or 1.0.9 (which tells a model neither its project nor its extra params, so that
both are read from the Flask request in hand). `backend.label_studio_ml` is what people import.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NotRequired, Protocol, TypedDict

from backend.core.domain import ls_id_of
from backend.core.errors import UnknownProject
from backend.core.json_values import JSON
from backend.core.project.register import register
from backend.core.queue.predict import predict
from backend.core.services import Services
from backend.core.tasks.events import receive

EVENTS = (
    "ANNOTATION_CREATED",
    "ANNOTATIONS_CREATED",
    "ANNOTATION_UPDATED",
    "ANNOTATIONS_DELETED",
    "TASKS_CREATED",
    "TASKS_DELETED",
    "PROJECT_UPDATED",
    "START_TRAINING",
)
"""What `fit` wants to hear. 2.x hands on fewer (no deletions, no new tasks): the reconciler finds those by polling."""


class Model(Protocol):
    """What we use of `LabelStudioMLBase`: of 2.x all but the arguments of `__init__`, of 1.0.9 these and the config."""

    label_config: str | None
    project_id: str

    def __init__(self, label_config: str | None = None, **given: object) -> None: ...
    def get(self, key: str) -> JSON: ...
    def set(self, key: str, value: str) -> None: ...
    def set_extra_params(self, extra_params: str) -> None: ...


class MlTask(TypedDict):
    """What we read of a task that we are to predict."""

    id: int | str
    project: NotRequired[int | str]


def model_class(base: type[Model], services: Callable[[], Services], name: str = "LabelQueueModel") -> type:
    """A subclass of `base` (2.x or 1.0.9) that answers from `services()`.

    `services` is called at each use and should keep what it made. The class is picklable as an attribute `name` of
    the module whose `__name__` the caller writes into `__module__`.
    """
    modern = hasattr(base, "set_extra_params")
    members = _modern(base, services) if modern else _first(base, services)
    common = {
        "TRAIN_EVENTS": EVENTS,
        "predict": _predict(services),
        "__doc__": "LabelQueue as a label-studio-ml model.",
    }
    return type(name, (base,), {**common, **members})


def _modern(base: type[Model], services: Callable[[], Services]) -> dict[str, object]:
    """The methods that 2.x calls. Its cache keeps texts only, so extra params are kept as JSON."""

    def connect(self: Model, extra_params: JSON) -> None:
        if self.label_config is not None:
            key = _key(services(), self.project_id)
            self.set("model_version", register(services(), key, self.label_config, extra_params))

    def setup(self: Model) -> None:
        connect(self, self.get("extra_params"))

    def set_extra_params(self: Model, extra_params: JSON) -> None:
        connect(self, extra_params)  # first: what we refuse is not kept
        text = extra_params if isinstance(extra_params, str) else json.dumps(extra_params)
        base.set_extra_params(self, text)

    def fit(self: Model, event: str, data: Mapping[str, JSON], **_: object) -> dict[str, JSON]:
        receive(services(), {**data, "action": event})
        return {}

    return {"setup": setup, "set_extra_params": set_extra_params, "fit": fit}


def _first(base: type[Model], services: Callable[[], Services]) -> dict[str, object]:
    """The methods that 1.0.9 calls; it makes the model anew at each /setup."""

    def __init__(self: Model, label_config: str | None = None, **given: object) -> None:
        base.__init__(self, label_config=label_config, **given)
        asked = _setup_request()
        if asked:
            register(services(), str(asked["project"]), str(asked.get("schema") or ""), asked.get("extra_params"))

    def fit(
        self: Model,
        tasks: object,
        workdir: str | None = None,
        *,
        data: Mapping[str, JSON] = MappingProxyType({}),
        event: str | None = None,
        **_: object,
    ) -> dict[str, JSON]:
        receive(services(), {**data, "action": event})
        return {}

    return {"__init__": __init__, "fit": fit}


def _predict(services: Callable[[], Services]) -> Callable[..., list[dict[str, JSON]]]:
    """`predict` of both: stored scores and guesses, one item a task, in order."""

    def answer(
        self: Model, tasks: Sequence[MlTask], context: Mapping[str, JSON] | None = None, **_: object
    ) -> list[dict[str, JSON]]:
        if not tasks:
            return []
        project = getattr(self, "project_id", "") or tasks[0].get("project", "")
        return predict(services(), str(project), [int(task["id"]) for task in tasks])

    return answer


def _key(services: Services, project: str) -> str:
    """The whole key of a project (2.x cuts "<id>.<created>" at the dot), as far as it is known."""
    asked = _setup_request()
    if asked and str(asked["project"]).split(".", 1)[0] == project:
        return str(asked["project"])
    number = None if "." in project else ls_id_of(project)
    try:
        return project if number is None else services.projects.by_ls_id(number).key
    except UnknownProject:
        return project


def _setup_request() -> Mapping[str, JSON]:
    """The body of the /setup request that this thread answers, or nothing."""
    from flask import has_request_context, request

    if not has_request_context() or not request.path.endswith("/setup"):
        return {}
    body = request.get_json(silent=True)
    return body if isinstance(body, Mapping) and body.get("project") else {}

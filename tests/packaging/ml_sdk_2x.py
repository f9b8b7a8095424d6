"""A base class that keeps the public contract of label-studio-ml 2.x, and a Flask application like its own.

Version 2 is on git only, which machines without it cannot install. Written after its documented behaviour: a model is
made for each request with the bare project id; `setup` runs at the end of the constructor; the cache keeps texts only
and outlives the model; extra params are given after the constructor of /setup; few events reach `fit`.
"""

from __future__ import annotations

import json
from typing import Any

from flask import Flask, jsonify, request

EVENTS = ("ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATION_DELETED", "START_TRAINING")


class LabelStudioMLBase:
    """The constructor, the cache and the hooks."""

    cache: dict[tuple[str, str], str] = {}  # noqa: RUF012  # of the class in the original as well

    def __init__(self, project_id: str | None = None, label_config: str | None = None) -> None:
        self.project_id = project_id or ""
        if label_config is not None:
            self.set("label_config", label_config)
        self.setup()

    def get(self, key: str) -> str | None:
        return self.cache.get((self.project_id, key))

    def set(self, key: str, value: str) -> None:
        if not isinstance(value, str):
            raise ValueError("Value must be a string")
        self.cache[self.project_id, key] = value

    @property
    def label_config(self) -> str | None:
        return self.get("label_config")

    def set_extra_params(self, extra_params: str) -> None:
        self.set("extra_params", extra_params)

    @property
    def extra_params(self) -> Any:
        return json.loads(self.get("extra_params") or "{}")

    def setup(self) -> None:
        """For subclasses."""


def init_app(model_class: Any) -> Flask:
    """The routes that matter to a model."""
    app = Flask(__name__)

    def model(project: str, label_config: str | None) -> Any:
        return model_class(project_id=project.split(".", 1)[0], label_config=label_config)

    @app.post("/setup")
    def setup() -> Any:
        made = model(request.json["project"], request.json.get("schema"))
        if request.json.get("extra_params"):
            made.set_extra_params(request.json["extra_params"])
        return jsonify({"model_version": made.get("model_version")})

    @app.post("/predict")
    def predict() -> Any:
        made = model(request.json["project"], request.json.get("label_config"))
        params = dict(request.json.get("params") or {})
        context = params.pop("context", None)
        return jsonify({"results": made.predict(request.json["tasks"], context=context, **params)})

    @app.post("/webhook")
    def webhook() -> Any:
        data = dict(request.json)
        event = data.pop("action")
        if event not in EVENTS:
            return jsonify({"status": "Unknown event"})
        made = model(str(data["project"]["id"]), data["project"]["label_config"])
        return jsonify({"result": made.fit(event, data)}), 201

    return app

"""LabelQueue as a model of label-studio-ml: both versions' ways of asking come to the same service."""

from __future__ import annotations

import importlib
import pickle
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from backend.adapters.ml_sdk import model_class
from backend.core.errors import BadSetting
from tests.backend.world import KEY, LS_ID, World
from tests.fakes import LABEL_CONFIG
from tests.packaging import ml_sdk_2x


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def client(world: World) -> Iterator[FlaskClient]:
    ml_sdk_2x.LabelStudioMLBase.cache.clear()
    model = model_class(ml_sdk_2x.LabelStudioMLBase, lambda: world.services)
    yield ml_sdk_2x.init_app(model).test_client()
    ml_sdk_2x.LabelStudioMLBase.cache.clear()


def setup(client: FlaskClient, extra_params: Any = None) -> Any:
    body = {"project": KEY, "schema": LABEL_CONFIG, "extra_params": extra_params}
    return client.post("/setup", json=body)


def annotation(number: int, task: int, label: str) -> dict[str, Any]:
    region = {"from_name": "digit", "to_name": "img", "type": "choices", "value": {"choices": [label]}}
    return {"id": number, "task": task, "result": [region], "updated_at": "2026-01-01T00:00:00Z"}


def test_setup_tells_the_workers_the_whole_key_of_an_unknown_project(client: FlaskClient, world: World) -> None:
    assert setup(client).json == {"model_version": "LabelQueue"}
    assert [caller.key for caller in world.jobs.callers()] == [KEY]
    assert world.asked() == ["meet"] and world.services.projects.all() == []


def test_setup_names_the_live_ranking_in_its_model_version(client: FlaskClient, world: World) -> None:
    world.connect(12)
    world.embed_all()
    world.rank()
    live = world.services.rankings.live(world.project.id)
    assert live is not None
    assert setup(client).json == {"model_version": live.guesses_version}


@pytest.mark.parametrize("extra", [{"strategy": "random"}, '{"strategy": "random"}'])
def test_extra_params_switch_the_strategy_as_object_and_as_text(client: FlaskClient, world: World, extra: Any) -> None:
    world.connect(12)
    assert setup(client, extra).status_code == 200
    assert world.project.strategy.name == "random"


def test_a_page_load_does_not_undo_a_switch_made_elsewhere(client: FlaskClient, world: World) -> None:
    from backend.core.project import strategy

    world.connect(12)
    setup(client, {"strategy": "random"})
    strategy.switch(world.services, world.project.id, "coreset", {})
    setup(client, {"strategy": "random"})
    assert world.project.strategy.name == "coreset"


def test_extra_params_that_are_refused_are_not_kept(client: FlaskClient, world: World) -> None:
    world.connect(12)
    assert setup(client, {"colour": "red"}).status_code == 500
    assert setup(client).status_code == 200
    assert world.project.strategy.name == "auto"


def test_predict_answers_each_task_in_order_from_the_live_ranking(client: FlaskClient, world: World) -> None:
    world.connect(12)
    world.embed_all()
    order = world.rank()
    asked = [order[3], order[0], order[7]]
    body = {"project": KEY, "label_config": LABEL_CONFIG, "tasks": [{"id": i, "project": LS_ID} for i in asked]}
    items = client.post("/predict", json={**body, "params": {"context": None, "login": None}}).json["results"]
    assert [item["score"] for item in items] == [pytest.approx(place / len(order)) for place in (3, 0, 7)]
    assert client.post("/predict", json={**body, "tasks": []}).json == {"results": []}


def test_an_annotation_is_taken_into_the_queue_of_events(client: FlaskClient, world: World) -> None:
    world.connect(12)
    world.asked()
    body = {"action": "ANNOTATION_CREATED", "annotation": annotation(1, 3, "two")}
    answer = client.post("/webhook", json={**body, "project": {"id": LS_ID, "label_config": LABEL_CONFIG}})
    assert answer.status_code == 201
    assert world.jobs.backlog() == 1
    assert world.asked() == ["absorb"]


def test_start_training_asks_for_a_learning_round(client: FlaskClient, world: World) -> None:
    world.connect(12)
    world.asked()
    project = {"id": LS_ID, "label_config": LABEL_CONFIG}
    client.post("/webhook", json={"action": "START_TRAINING", "project": project})
    assert world.asked() == ["cycle"]


def test_a_request_by_bare_id_keeps_the_known_key_of_the_project(client: FlaskClient, world: World) -> None:
    world.connect(12)
    tasks = world.services.tasks.counts(world.project.id).tasks
    body = {"project": str(LS_ID), "label_config": LABEL_CONFIG, "tasks": [{"id": 1, "project": LS_ID}]}
    assert client.post("/predict", json=body).status_code == 200
    assert world.project.key == KEY
    assert world.services.tasks.counts(world.project.id).tasks == tasks > 0


def test_without_label_studio_ml_the_import_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    import backend.label_studio_ml as entry

    entry._model.cache_clear()
    monkeypatch.setitem(sys.modules, "label_studio_ml.model", None)
    with pytest.raises(BadSetting, match="labelqueue serve"):
        entry.LabelQueueModel  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute 'Other'"):
        entry.Other  # noqa: B018


def test_the_class_is_made_once_and_can_be_pickled(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = importlib.import_module("backend.label_studio_ml")
    fake = types.ModuleType("label_studio_ml.model")
    fake.LabelStudioMLBase = ml_sdk_2x.LabelStudioMLBase  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "label_studio_ml", types.ModuleType("label_studio_ml"))
    monkeypatch.setitem(sys.modules, "label_studio_ml.model", fake)
    entry._model.cache_clear()
    assert pickle.loads(pickle.dumps(entry.LabelQueueModel)) is entry.LabelQueueModel
    entry._model.cache_clear()

"""Answers to /predict agree with the queue."""

from __future__ import annotations

import pytest

from backend.core.errors import UserError
from backend.core.kinds.suggest import regions
from backend.core.queue.predict import predict
from tests.backend.world import KEY, World
from tests.fakes import CONFIG


def test_predict_answers_each_task_in_order_and_agrees_with_the_queue(world: World) -> None:
    project = world.connect(60)
    world.embed_all()
    world.set(head_size=10)
    world.label(*range(1, 13))
    order = world.rank()
    asked = [999, order[3], order[0], 50, order[3]]
    items = predict(world.services, KEY, asked)
    assert len(items) == 5
    assert items[2]["score"] < items[1]["score"] == items[4]["score"] < 1.0
    assert items[0] == {"result": [], "score": 2.0, "model_version": items[1]["model_version"]}
    live = world.services.rankings.live(project.id)
    assert live is not None
    assert items[0]["model_version"] == live.guesses_version != live.model_version  # not the queue's
    guess = world.features.read_guesses(project.id, [order[0]])[order[0]]
    assert items[2]["result"] == regions(CONFIG.target, guess)


def test_predict_for_a_project_that_never_connected_is_the_callers_error(world: World) -> None:
    with pytest.raises(UserError, match="not connected"):
        predict(world.services, "77.1", [1])

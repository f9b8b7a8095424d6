"""Webhook bodies of every shape end in the label table that Label Studio has."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from backend.core.tasks.events import absorb, receive
from tests.backend.world import LS_ID, NAMES, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.connect(30)
    made.embed_all()
    made.asked()
    return made


def annotation(number: int, task: int, choice: str | None = "one", second: int = 0, **more: Any) -> dict[str, Any]:
    region = {"from_name": "digit", "to_name": "img", "type": "choices", "value": {"choices": [choice]}}
    return {
        "id": number,
        "task": task,
        "project": LS_ID,
        "result": [region] if choice else [],
        "was_cancelled": False,
        "updated_at": f"2026-11-21T10:{second // 60:02d}:{second % 60:02d}.000000Z",
    } | more


def event(action: str, **body: Any) -> dict[str, Any]:
    return {"action": action, "project": {"id": LS_ID, "title": "Digits", "token": "secret"}, **body}


def labels(world: World) -> dict[int, str]:
    return world.services.tasks.labels(world.project.id)[0]


def test_created_updated_and_deleted_annotations_are_followed(world: World) -> None:
    receive(world.services, event("ANNOTATION_CREATED", annotation=annotation(1, 3), task={"id": 3}))
    absorb(world.services)
    assert labels(world) == {3: "one"}
    receive(world.services, event("ANNOTATION_UPDATED", annotation=annotation(1, 3, "two", 5)))
    absorb(world.services)
    assert labels(world) == {3: "two"}
    receive(world.services, event("ANNOTATIONS_DELETED", annotation=[{"id": 1}]))
    absorb(world.services)
    assert labels(world) == {}


def test_bulk_annotations_come_as_lists(world: World) -> None:
    many = [annotation(n, n, NAMES[n % 3]) for n in range(1, 6)]
    receive(world.services, event("ANNOTATIONS_CREATED", annotation=many, task=[{"id": n} for n in range(1, 6)]))
    absorb(world.services)
    assert labels(world) == {n: NAMES[n % 3] for n in range(1, 6)}


@pytest.mark.parametrize("key", ["annotation", "annotations"])
@pytest.mark.parametrize("action", ["ANNOTATIONS_DELETED", "ANNOTATION_DELETED"])
def test_a_deletion_that_overtakes_its_creation_wins(world: World, action: str, key: str) -> None:
    receive(world.services, event(action, **{key: [{"id": 1}]}))
    receive(world.services, event("ANNOTATION_CREATED", annotation=annotation(1, 3)))
    absorb(world.services)
    assert labels(world) == {}


def test_an_older_update_never_replaces_a_newer_one(world: World) -> None:
    receive(world.services, event("ANNOTATION_UPDATED", annotation=annotation(1, 3, "two", 9)))
    receive(world.services, event("ANNOTATION_CREATED", annotation=annotation(1, 3, "one", 1)))
    absorb(world.services)
    assert labels(world) == {3: "two"}


def test_a_skip_counts_as_seen_but_not_as_a_label(world: World) -> None:
    receive(world.services, event("ANNOTATION_CREATED", annotation=annotation(1, 3, None, was_cancelled=True)))
    absorb(world.services)
    assert world.services.tasks.labels(world.project.id) == ({}, {3})
    assert 3 not in world.rank()


def test_deleted_tasks_leave_with_their_labels_and_features(world: World) -> None:
    receive(world.services, event("ANNOTATION_CREATED", annotation=annotation(1, 3)))
    receive(world.services, event("TASKS_DELETED", task=[{"id": 3}, {"id": 4}]))
    absorb(world.services)
    assert labels(world) == {}
    assert not {3, 4} & set(world.features.load(world.project.id, 1).task_ids.tolist())


@pytest.mark.parametrize(
    ("action", "job"),
    [("TASKS_CREATED", "sync"), ("PROJECT_UPDATED", "reconcile"), ("START_TRAINING", "cycle")],
)
def test_other_events_only_nudge(world: World, action: str, job: str) -> None:
    receive(world.services, event(action))
    assert world.asked() == [job]
    assert world.jobs.events == []


def test_two_thousand_events_doubled_and_shuffled_leave_the_right_labels(world: World) -> None:
    rng = random.Random(0)
    bodies, truth = [], {}
    for task in range(1, 26):
        for second in range(40):
            bodies.append(event("ANNOTATION_UPDATED", annotation=annotation(task, task, rng.choice(NAMES), second)))
        truth[task] = bodies[-1]["annotation"]["result"][0]["value"]["choices"][0]
    gone = [n for n in truth if n % 5 == 0]
    bodies.append(event("ANNOTATIONS_DELETED", annotation=[{"id": n} for n in gone]))
    bodies *= 2
    rng.shuffle(bodies)
    for body in bodies:
        receive(world.services, body)
    assert len(world.jobs.events) == 2002
    absorb(world.services)
    assert labels(world) == {task: name for task, name in truth.items() if task not in gone}
    assert world.jobs.backlog() == 0


def test_events_that_break_midway_are_taken_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    receive(world.services, event("ANNOTATION_CREATED", annotation=annotation(1, 3)))

    def fail(*_: object) -> int:
        raise RuntimeError("the database is away")

    with monkeypatch.context() as patch:
        patch.setattr(world.services.tasks, "apply", fail)
        with pytest.raises(RuntimeError):
            absorb(world.services)
    absorb(world.services)
    assert labels(world) == {3: "one"}


def test_ten_new_labels_by_webhook_make_a_learning_round_due(world: World) -> None:
    world.rank()
    world.asked()
    for task in range(1, 11):
        receive(world.services, event("ANNOTATION_CREATED", annotation=annotation(task, task)))
    absorb(world.services)
    assert "cycle" in world.asked()


def test_nothing_secret_or_large_is_kept_of_a_body(world: World) -> None:
    receive(world.services, event("ANNOTATION_CREATED", annotation=annotation(1, 3, "x" * 10_000_000)))
    assert len(str(world.jobs.events)) < 1000
    assert "secret" not in str(world.jobs.events)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"action": 5},
        {"action": "ANNOTATION_CREATED"},
        {"action": "ANNOTATION_CREATED", "project": {"id": LS_ID}, "annotation": None},
        {"action": "ANNOTATION_CREATED", "project": {"id": LS_ID}, "annotation": [1, "x", {"id": "1"}, {}]},
        {"action": "ANNOTATION_CREATED", "project": {"id": LS_ID}, "annotation": {"id": 1, "task": "3"}},
        {"action": "ANNOTATIONS_DELETED", "project": {"id": LS_ID}, "annotation": {"id": None}},
        {"action": "ANNOTATIONS_DELETED", "project": {"id": LS_ID}, "annotation": {"id": 2**70}},
        {"action": "ANNOTATION_CREATED", "project": {"id": LS_ID}, "annotation": {"id": 2**70, "task": 3}},
        {"action": "ANNOTATION_CREATED", "project": {"id": 2**70}, "annotation": {"id": 1, "task": 3}},
        {"action": "PROJECT_UPDATED", "project": {"id": 404}},
        {"action": "TASKS_CREATED", "project": {"id": True}},
        {"action": "SOMETHING_NEW", "project": {"id": LS_ID}, "annotation": {"id": 1}},
    ],
)
def test_bodies_of_no_known_shape_are_passed_over(world: World, body: dict[str, Any]) -> None:
    receive(world.services, body)
    absorb(world.services)
    assert labels(world) == {}


def test_events_of_a_project_that_is_not_connected_are_dropped(world: World) -> None:
    body = event("ANNOTATION_CREATED", annotation=annotation(1, 3)) | {"project": {"id": 404}}
    receive(world.services, body)
    assert absorb(world.services) == 0
    assert world.jobs.backlog() == 0


NO_EVENTS: list[Any] = [
    {},
    {"project": "5", "id": 1, "task": 1, "skipped": False, "at": 1.0, "choices": []},
    {"project": LS_ID},
    {"project": LS_ID, "gone": "projects", "ids": [1], "at": 1.0},
    {"project": LS_ID, "gone": "tasks", "ids": "all", "at": 1.0},
    {"project": LS_ID, "gone": ["tasks"], "ids": [1], "at": 1.0},
    {"project": LS_ID, "gone": "tasks", "ids": [2**70], "at": 1.0},
    {"project": LS_ID, "id": "1", "task": 3, "skipped": False, "at": 1.0, "choices": []},
    {"project": LS_ID, "id": 1, "task": 3, "skipped": False, "at": float("nan"), "choices": []},
    {"project": LS_ID, "id": 1, "task": 3, "skipped": "no", "at": 1.0, "choices": []},
    {"project": LS_ID, "id": 1, "task": 3, "skipped": False, "at": 1.0, "choices": [["digit", [1]]]},
    {"project": LS_ID, "id": 1, "task": 3, "skipped": False, "at": 1.0, "choices": [["digit"]]},
    {"project": LS_ID, "id": 1, "task": 3, "skipped": False, "at": None, "choices": None},
]


@pytest.mark.parametrize("strange", NO_EVENTS, ids=str)
def test_an_event_of_another_form_stops_no_other(world: World, strange: Any) -> None:
    """(10-E4) One such item blocked absorption for ever."""
    world.jobs.events.append(strange)
    receive(world.services, event("ANNOTATION_CREATED", annotation=annotation(1, 3), task={"id": 3}))
    absorb(world.services)
    assert labels(world) == {3: "one"} and world.jobs.events == []

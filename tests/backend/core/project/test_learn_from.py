"""What is learnt from in projects of several tags, of several choices and of nested ones; annotated is no skip."""

from __future__ import annotations

from typing import Any

import pytest

from backend.adapters.label_studio.config import parse_config
from backend.cli.render import render
from backend.core.errors import BadSetting, UserError
from backend.core.project import connect
from backend.core.project.doctor import diagnose
from backend.core.project.register import register
from backend.core.project.status import queue, status
from backend.core.project.tuning import change, current
from backend.core.queue import cycle, due
from backend.core.tasks import sync
from backend.core.tasks.events import absorb, receive
from tests.backend.world import KEY, LS_ID, World

IMAGE = '<Image name="img" value="$image"/>'
PETS = '<Choice value="cat"/><Choice value="dog"/>'
FLAG = '<Choices name="flag" toName="img"><Choice value="broken"/></Choices>'
TWO = f'<Choices name="pet" toName="img">{PETS}</Choices><Choices name="mood" toName="img">{PETS}</Choices>'
NOTE = '<TextArea name="note" toName="img"/>'
MANY = f'<Choices name="many" toName="img" choice="multiple">{PETS}</Choices>'
NESTED = (
    '<Choices name="digit" toName="img" allowNested="true"><Choice value="Animal"><Choice value="Cat"/>'
    '<Choice value="Dog"/></Choice><Choice value="Other"/></Choices>'
)


def region(tag: str, *choices: Any) -> dict[str, Any]:
    return {"from_name": tag, "to_name": "img", "type": "choices", "value": {"choices": list(choices)}}


def opened(world: World, tags: str, tasks: int = 30) -> None:
    """A connected project of this config, embedded."""
    configure(world, tags)
    world.connect(tasks)
    world.embed_all()


def configure(world: World, tags: str) -> None:
    """Labels config as people change it in Label Studio; every reading of it is the real one."""
    text = f"<View>{IMAGE}{tags}</View>"
    world.ls.config = parse_config(text)
    world.ls.parse_config = lambda _, learn_from="": parse_config(text, learn_from)  # type: ignore[method-assign]


def submit(world: World, task: int, *regions: dict[str, Any]) -> None:
    world.clock.time += 0.01
    world.ls.submit(LS_ID, task, list(regions), world.clock.time)


def look(world: World) -> None:
    sync.reconcile(world.services, world.project.id)
    world.clock.time += 10.0


def said(world: World) -> tuple[dict[int, str], set[int]]:
    return world.services.tasks.labels(world.project.id)


def test_several_choices_are_sets_that_are_counted_by_class(world: World) -> None:
    """(12-1) Nothing ticked and submitted is the empty set; the queue goes on, and does not offer the task again."""
    opened(world, MANY)
    served = world.rank()
    for task, names in zip(served[:3], (["cat"], ["cat", "dog"], []), strict=True):
        submit(world, task, *([region("many", *names)] if names else []))
    world.ls.annotate(LS_ID, served[3], None, world.clock.time, skipped=True)
    look(world)
    sets = (frozenset({"cat"}), frozenset({"cat", "dog"}), frozenset())
    assert said(world) == (dict(zip(served, sets, strict=False)), {served[3]})
    seen = status(world.services, world.project)
    assert (seen.labeled, seen.empty, seen.annotated, seen.skipped) == (3, 1, 0, 1)
    assert (seen.target, dict(seen.classes)) == ("set", {"cat": 2, "dog": 1})
    assert (seen.learns_from, seen.config_problem) == ("many", "")
    assert not set(served[:4]) & {item.task for item in queue(world.services, world.project, 50)}
    assert not set(served[:4]) & set(world.rank())
    text = "".join(str(line) for line in render_lines(world))
    assert "3, 1 of them without any class, 1 skipped" in text and "learns from" in text


def render_lines(world: World) -> list[str]:
    from rich.console import Console

    console = Console(record=True, width=200)
    console.print(render([status(world.services, world.project)]))
    return console.export_text().splitlines()


def test_a_project_of_captions_ends_when_all_of_it_is_annotated(world: World) -> None:
    """(10-F1) Annotated tasks count as served: no round is due when nothing is left."""
    opened(world, NOTE, 3)
    world.rank()
    for task in (1, 2, 3):
        submit(world, task, {"type": "textarea", "from_name": "note", "value": {"text": ["a"]}})
    look(world)
    counts = world.services.tasks.counts(world.project.id)
    assert (counts.annotated, counts.open) == (3, 0)
    ranking = world.services.rankings.latest(world.project.id)
    assert due.learning_due(world.services, world.project, counts, ranking) is None
    assert cycle.cycle(world.services, world.project.id, "test") is None


def test_the_page_and_the_api_tell_annotated_from_skipped(world: World, client: Any) -> None:
    """(10-F1) Wherever labels are counted."""
    opened(world, NOTE)
    submit(world, 1)
    world.ls.annotate(LS_ID, 2, None, world.clock.time, skipped=True)
    look(world)
    shown = client.get(f"/api/projects/{LS_ID}").json
    assert (shown["labeled"], shown["annotated"], shown["skipped"]) == (0, 1, 1)
    tasks = {row["id"]: row for row in client.get(f"/api/projects/{LS_ID}/tasks").json}
    assert (tasks[1]["annotated"], tasks[1]["skipped"], tasks[2]["skipped"]) == (True, False, True)
    assert "1 annotated" in client.get("/").text


def test_a_good_tag_behind_others_is_learnt_from_and_all_are_named(world: World) -> None:
    """(10-F4) In connect, doctor and status."""
    configure(world, NOTE + FLAG + TWO)
    world.ls.add_project(LS_ID, 30)
    notes = "\n".join(connect.connect(world.services, LS_ID).notes)
    assert (
        "learns from pet" in notes
        and "note (is TextArea, which names no classes)" in notes
        and "not used: flag, mood" in notes
    )
    found = "\n".join(item.what for item in diagnose(world.services, [LS_ID], reach=lambda _: ""))
    assert "2 classes of 'pet'" in found and "note (is TextArea, which names no classes)" in found
    sync.reconcile(world.services, world.project.id, full=True)
    seen = status(world.services, world.project)
    assert (seen.learns_from, seen.left_out) == (
        "pet",
        {"note": "is TextArea, which names no classes", "flag": "", "mood": ""},
    )
    text = "\n".join(render_lines(world))
    assert "pet; not from note (is TextArea, which names no classes), flag (could be: set learn_from), mood" in text


def test_another_tag_to_learn_from_reads_all_annotations_anew(world: World) -> None:
    """(10-F4) By the settings, in both directions, without anybody annotating again."""
    opened(world, TWO)
    for task in (1, 2):
        submit(world, task, region("pet", "cat"), region("mood", "dog"))
    look(world)
    assert said(world)[0] == {1: "cat", 2: "cat"}
    world.asked()
    assert change(world.services, world.project, {"learn_from": "mood"})["learn_from"] == "mood"
    assert world.asked() == ["reconcile"]
    look(world)
    assert said(world)[0] == {1: "dog", 2: "dog"} and world.project.config.target.tag == "mood"
    change(world.services, world.project, {"learn_from": "default"})
    look(world)
    assert said(world)[0] == {1: "cat", 2: "cat"}


def test_a_tag_that_is_not_there_or_cannot_be_learnt_from_is_refused_with_what_there_is(world: World) -> None:
    """(10-F4) By the settings, by extra params and by connect; nothing is changed then."""
    opened(world, NOTE + TWO)
    before = (current(world.project), world.project.strategy)
    for name, told in (("nose", "has no tag 'nose'; it has: pet, note, mood"), ("note", "is TextArea")):
        with pytest.raises(BadSetting, match=told):
            change(world.services, world.project, {"learn_from": name, "batch_size": 3})
        with pytest.raises(BadSetting, match=told):
            register(world.services, KEY, world.project.label_config, {"learn_from": name, "strategy": "typiclust"})
    with pytest.raises(UserError, match="no such tag; it has: note, pet, mood"):
        connect.connect(world.services, LS_ID, extra_params={"learn_from": "nose"})
    assert (current(world.project), world.project.strategy) == before


def test_a_tag_that_a_later_config_no_longer_has_is_told_and_nothing_else_is_learnt(world: World) -> None:
    """(10-F4) Also when the config changes later."""
    opened(world, TWO)
    change(world.services, world.project, {"learn_from": "mood"})
    look(world)
    submit(world, 1, region("pet", "cat"))
    configure(world, f'<Choices name="pet" toName="img">{PETS}</Choices>')
    world.ls.remote[LS_ID] = type(world.ls.remote[LS_ID])(
        **{name: getattr(world.ls.remote[LS_ID], name) for name in world.ls.remote[LS_ID].__slots__}
        | {"label_config": "<View>changed</View>"}
    )
    look(world)
    assert said(world) == ({}, {1})
    seen = status(world.services, world.project)
    assert seen.learns_from is None and "no such tag; it has: pet" in seen.config_problem
    findings = diagnose(world.services, [LS_ID], reach=lambda _: "")
    assert any(item.level == "fail" and "no such tag" in item.what and "learn_from" in item.cure for item in findings)


def test_a_project_that_an_older_program_read_is_read_anew(world: World) -> None:
    """(10-F1, 12-1) Labels that such a program took from a project of several choices become sets."""
    opened(world, MANY)
    world.clock.time += 1
    stale = world.ls.annotate(LS_ID, 1, "cat", world.clock.time)
    world.ls.results[stale.id] = [region("many", "cat")]
    world.services.tasks.apply(world.project.id, [stale])
    assert said(world)[0] == {1: "cat"}
    old = parse_config(f"<View>{IMAGE}{MANY}</View>")
    fields = {name: getattr(old, name) for name in old.__slots__} | {"reading": 0}
    world.services.projects.add(
        LS_ID, KEY, title="Digits", label_config=world.project.label_config, config=type(old)(**fields), at=1.0
    )
    look(world)
    assert said(world) == ({1: frozenset({"cat"})}, set())


def test_nested_choices_are_learnt_by_their_path_and_publish_without_a_region(world: World) -> None:
    """(10-nested) From a reading and from a webhook alike; the order goes live although no class can be suggested."""
    opened(world, NESTED)
    served = world.rank()
    paths = {0: ["Animal", "Cat"], 1: ["Animal", "Dog"], 2: ["Other"]}
    for task in served[:6]:
        submit(world, task, region("digit", paths[task % 3]))
    look(world)
    told = {task: "/".join(paths[task % 3]) for task in served[:6]}
    assert said(world)[0] == told
    body = {"id": 900, "task": served[6], "updated_at": "2026-11-21T10:00:00Z", "result": [region("digit", ["Other"])]}
    receive(world.services, {"action": "ANNOTATION_CREATED", "project": {"id": LS_ID}, "annotation": body})
    absorb(world.services)
    assert said(world)[0] == told | {served[6]: "Other"}
    assert world.project.config.classes == ("Animal", "Animal/Cat", "Animal/Dog", "Other")
    assert world.rank() and world.services.rankings.latest_head(world.project.id) is not None
    assert {item.guess.choice for item in queue(world.services, world.project) if item.guess} <= set(told.values())

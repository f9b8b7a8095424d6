"""Classes that a label config renames, adds, removes or reorders: what fits is kept, the doctor names the rest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from backend.adapters.label_studio.config import parse_config
from backend.core.learning.labels import read_labels
from backend.core.project.doctor import diagnose
from backend.core.tasks import sync
from tests.backend.world import LS_ID, World


def configure(world: World, more: str, *names: str) -> None:
    options = "".join(f'<Choice value="{name}"/>' for name in names)
    choices = f'<Choices name="c" toName="img" {more}>{options}</Choices>'
    text = f'<View><Image name="img" value="$image"/>{choices}</View>'
    world.ls.parse_config = lambda _, learn_from="": parse_config(text, learn_from)  # type: ignore[method-assign]
    if LS_ID in world.ls.remote:
        world.ls.remote[LS_ID] = replace(world.ls.remote[LS_ID], label_config=text)
        sync.reconcile(world.services, world.project.id)


def submit(world: World, task: int, *names: str) -> None:
    world.clock.time += 1
    result = [{"from_name": "c", "to_name": "img", "type": "choices", "value": {"choices": list(names)}}]
    world.ls.submit(LS_ID, task, result if names else [], world.clock.time)


def known(world: World) -> dict[int, Any]:
    """What is learnt of each task: names of its class or classes."""
    table = world.services.features.load(world.project.id, 1)
    labels = read_labels(world.services, world.project, table)
    rows = {task: row for row, task in enumerate(table.task_ids.tolist()) if labels.rows[row] >= 0}
    if labels.present is None:
        return {task: labels.classes[labels.rows[row]] for task, row in rows.items()}
    return {
        task: {name for name, there in zip(labels.classes, labels.present[row], strict=True) if there}
        for task, row in rows.items()
    }


def doctor(world: World) -> str:
    found = diagnose(world.services, [LS_ID], reach=lambda _: "")
    return "; ".join(item.what for item in found if "labels of classes" in item.what)


CHANGES = [
    (("b", "a", "c"), ""),  # reordered
    (("a", "b", "c", "d"), ""),  # added
    (("a", "b"), "c (2)"),  # removed
    (("a", "B", "c"), "b (2)"),  # renamed
]


@pytest.mark.parametrize(("names", "told"), CHANGES)
def test_sets_fit_as_long_as_all_their_classes_are_there(world: World, names: tuple[str, ...], told: str) -> None:
    """(12-7) A set with a class that is gone would be a wrong negative of its new name."""
    configure(world, 'choice="multiple"', "a", "b", "c")
    world.connect(8)
    world.embed_all()
    said = {1: ("a", "b"), 2: ("b",), 3: ("a", "c"), 4: ("c",), 5: ()}
    for task, classes in said.items():
        submit(world, task, *classes)
    sync.reconcile(world.services, world.project.id)
    before = known(world)
    assert before == {task: set(classes) for task, classes in said.items()} and doctor(world) == ""
    configure(world, 'choice="multiple"', *names)
    gone = {"a", "b", "c"} - set(names)
    assert known(world) == {task: classes for task, classes in before.items() if not classes & gone}
    assert (told in doctor(world)) if told else doctor(world) == ""
    assert world.services.tasks.counts(world.project.id).labeled == 5
    configure(world, 'choice="multiple"', "c", "b", "a")
    assert known(world) == before and doctor(world) == ""


def test_single_classes_fit_as_long_as_they_are_there(world: World) -> None:
    """(12-7) Nobody labels anew what still has its name."""
    configure(world, "", "a", "b", "c")
    world.connect(8)
    world.embed_all()
    for task, name in ((1, "a"), (2, "b"), (3, "c")):
        submit(world, task, name)
    sync.reconcile(world.services, world.project.id)
    configure(world, "", "c", "B", "a", "d")
    assert known(world) == {1: "a", 3: "c"} and "b (1)" in doctor(world)
    submit(world, 2, "B")
    sync.reconcile(world.services, world.project.id)
    assert known(world) == {1: "a", 2: "B", 3: "c"}


def test_one_class_and_sets_of_them_are_read_anew_in_both_directions(world: World) -> None:
    """(12-1, 12-7) A config that takes several choices from now on keeps the single ones as sets of one."""
    configure(world, "", "a", "b")
    world.connect(8)
    world.embed_all()
    submit(world, 1, "a")
    submit(world, 2, "b")
    sync.reconcile(world.services, world.project.id)
    configure(world, 'choice="multiple"', "a", "b")
    submit(world, 3, "a", "b")
    sync.reconcile(world.services, world.project.id)
    assert known(world) == {1: {"a"}, 2: {"b"}, 3: {"a", "b"}}
    configure(world, "", "a", "b")
    assert known(world) == {1: "a", 2: "b"} and world.services.tasks.counts(world.project.id).annotated == 1

"""Projects whose images and classes stand where people put them: nested data, several pages, nested choices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

import pytest

from backend.adapters.label_studio.client import ApiLabelStudio
from backend.adapters.label_studio.config import parse_config
from backend.core.domain import Guess, Prediction
from scripts.digits import digits
from scripts.label_studio_server import TOKEN
from tests.harness.live import Live

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

CHOICES = '<Choices name="digit" toName="img"><Choice value="0"/><Choice value="1"/></Choices>'
NESTED = (
    '<View><Image name="img" value="$image"/><Choices name="digit" toName="img" allowNested="true">'
    '<Choice value="Animal"><Choice value="Cat"/><Choice value="Dog"/></Choice><Choice value="Other"/></Choices></View>'
)


def made(
    live: Live, config: str, shape: Callable[[Sequence[str]], dict[str, Any]], n: int = 12
) -> tuple[int, list[int]]:
    """A connected project of n tasks of three images each, embedded and served; and its task ids."""
    number = live.label_studio.create_project("shapes", config)
    refs = live.label_studio.references(number, digits(live.label_studio.files / "images", n + 2))
    tasks = live.label_studio.import_tasks(number, [shape(refs[place : place + 3]) for place in range(n)])
    live.labelqueue.run("connect", number, "--url", live.labelqueue.url)
    live.ready(number, n)
    return number, tasks


@pytest.mark.parametrize(
    ("image", "shape", "pages"),
    [
        ('<Image name="img" value="$image.url"/>', lambda refs: {"image": {"url": refs[0]}}, 1),
        ('<Image name="img" value="$images[1].url"/>', lambda refs: {"images": [{"url": ref} for ref in refs]}, 1),
        ('<Image name="img" value="$image"/>', lambda refs: {"image": [refs[0]]}, 1),
        ('<Image name="img" valueList="$pages"/>', lambda refs: {"pages": list(refs)}, 3),
        ('<Image name="img" value="$l"/><Image name="r" value="$r"/>', lambda refs: {"l": refs[0], "r": refs[2]}, 2),
    ],
)
def test_what_label_studio_shows_is_embedded_and_learnt(live: Live, image: str, shape: Any, pages: int) -> None:
    """(10-D2, 10-D3) Each of these was seen to be shown by Label Studio's editor."""
    project, tasks = made(live, f"<View>{image}{CHOICES}</View>", shape)
    rows = live.labelqueue.json("tasks", project)
    assert [(row["state"], row["reason"], max(len(row["pages"]), 1)) for row in rows] == [("embedded", "", pages)] * 12
    for place, task in enumerate(tasks[:4]):
        live.label_studio.annotate(task, str(place % 2))
    live.counts(project, labeled=4, classes={"0": 2, "1": 2})


def test_nested_choices_are_learnt_as_the_editor_writes_them(live: Live) -> None:
    """(10-nested) The path is the class; the next order goes live though no class can be suggested."""
    project, tasks = made(live, NESTED, lambda refs: {"image": refs[0]})
    first = live.version(project)
    ticks = ([["Animal", "Cat"]], [["Other"]], [["Animal"], ["Animal", "Cat"], ["Animal", "Dog"]], [["Animal", "Cat"]])
    for task, choices in zip(tasks, ticks, strict=False):
        value = {"from_name": "digit", "to_name": "img", "type": "choices", "value": {"choices": choices}}
        body = {"result": [value], "was_cancelled": False, "lead_time": 1.0}
        live.label_studio.admin.http.post(f"/api/tasks/{task}/annotations/", json=body).raise_for_status()
    live.counts(project, labeled=4, classes={"Animal": 1, "Animal/Cat": 2, "Animal/Dog": 0, "Other": 1})
    live.labelqueue.run("learn", project)
    live.next_version(project, first)
    assert live.status(project)["problem"] is None
    guessed = [row["guess"]["choice"] for row in live.labelqueue.json("queue", project) if row["guess"]]
    assert guessed and set(guessed) <= {"Animal", "Animal/Cat", "Other"}


def test_a_nested_guess_orders_the_queue_and_label_studio_drops_the_path_itself(live: Live) -> None:
    """(10-nested) What Label Studio does with a path, and with what we send in its place."""
    number = live.label_studio.create_project("nested", NESTED)
    ids = live.label_studio.import_files(number, digits(live.label_studio.files / "images", 4))
    region = {"from_name": "digit", "to_name": "img", "type": "choices", "value": {"choices": [["Animal", "Cat"]]}}
    body = [{"task": ids[0], "score": 0.1, "model_version": "path", "result": [region]}]
    answer = live.label_studio.admin.http.post(f"/api/projects/{number}/import/predictions", json=body)
    assert answer.json()["created"] == 0
    with closing(ApiLabelStudio(live.label_studio.url, TOKEN)) as api:
        predictions = [Prediction(task, place / 4, Guess("Animal/Cat", 0.9)) for place, task in enumerate(ids[::-1])]
        assert api.import_predictions(number, parse_config(NESTED), "ours", predictions) == 4
        api.set_queue(number, "ours")
    assert live.label_studio.next_task(number) == ids[-1]


def test_several_choices_are_sets_and_another_tag_reads_all_anew(live: Live) -> None:
    """(12-1, 10-F4) Seen in the status, by webhook and by reading; Choices of one class go before them."""
    many = '<Choices name="many" toName="img" choice="multiple"><Choice value="a"/><Choice value="b"/></Choices>'
    image = '<Image name="img" value="$image"/>'
    project, tasks = made(live, f"<View>{image}{many}</View>", lambda refs: {"image": refs[0]})
    region = {"from_name": "many", "to_name": "img", "type": "choices", "value": {"choices": ["a"]}}
    body = {"result": [region], "was_cancelled": False, "lead_time": 1.0}
    live.label_studio.admin.http.post(f"/api/tasks/{tasks[0]}/annotations/", json=body).raise_for_status()
    live.label_studio.annotate(tasks[1], None)
    live.label_studio.submit_nothing(tasks[2])
    live.counts(project, target="set", labeled=2, empty=1, classes={"a": 1, "b": 0}, annotated=0, skipped=1)
    live.label_studio.update_project(project, label_config=f"<View>{image}{many}{CHOICES}</View>")
    live.labelqueue.run("sync", project)
    live.counts(project, target="one", learns_from="digit", labeled=0, annotated=2, skipped=1)
    live.labelqueue.run("set", project, "learn_from=many")
    live.counts(project, target="set", labeled=2, empty=1, classes={"a": 1, "b": 0}, skipped=1)
    refused = live.labelqueue.run("set", project, "learn_from=img", ok=False)
    assert "has no tag 'img'; it has: many, digit" in refused.stderr

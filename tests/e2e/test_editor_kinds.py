"""One person's submission of each kind in Label Studio's editor, read as the label that it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from backend.adapters.label_studio.config import parse_config
from backend.core.domain import Label
from backend.core.kinds.annotations import label_of
from backend.core.kinds.said import said
from scripts.digits import digits
from tests.harness.browser import CHROMIUM, Annotator, annotator
from tests.harness.labelstudio import RealLabelStudio
from tests.harness.waiting import wait_for

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason=f"no Chromium at {CHROMIUM}"),
]

PETS = '<Choice value="cat"/><Choice value="dog"/><Choice value="fox"/>'
TREE = '<Choice value="Animal"><Choice value="Cat"/><Choice value="Dog"/></Choice><Choice value="Other"/>'
CARS = '<Label value="Car"/><Label value="Van" alias="v"/>'


def drawn(tag: str) -> str:
    return f'<{tag} name="d" toName="img">{CARS}</{tag}>'


def place(page: Page, x: float, y: float) -> tuple[float, float]:
    """A point of the image, in shares of its sides."""
    box = page.locator(".konvajs-content").first.bounding_box()
    assert box is not None
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def drag(page: Page) -> None:
    """Choose the label and draw over the middle of the image."""
    page.locator('.lsf-label:has-text("Car")').first.click()
    page.mouse.move(*place(page, 0.3, 0.3))
    page.mouse.down()
    page.mouse.move(*place(page, 0.5, 0.5), steps=5)
    page.mouse.up()


def corners(page: Page) -> None:
    page.locator('.lsf-label:has-text("Car")').first.click()
    for x, y in ((0.3, 0.3), (0.6, 0.3), (0.6, 0.6), (0.3, 0.3)):
        page.mouse.click(*place(page, x, y))


def click(page: Page) -> None:
    page.locator('.lsf-label:has-text("Van")').first.click()
    page.mouse.click(*place(page, 0.4, 0.4))


def tick(*names: str) -> Callable[[Page], None]:
    def act(page: Page) -> None:
        for name in names:
            page.locator("label").filter(has_text=name).first.click()

    return act


def number(page: Page) -> None:
    page.locator('input[type="number"]').first.fill("2")


def nothing(_: Page) -> None:
    """Submit the form as it is."""


CASES: dict[str, tuple[str, Callable[[Page], None], Label | None]] = {
    "multiple": (
        f'<Choices name="c" toName="img" choice="multiple">{PETS}</Choices>',
        tick("cat", "fox"),
        frozenset({"cat", "fox"}),
    ),
    "flag": (
        '<Choices name="c" toName="img"><Choice value="defect"/></Choices>',
        tick("defect"),
        frozenset({"defect"}),
    ),
    "nested": (
        f'<Choices name="c" toName="img" allowNested="true" choice="multiple">{TREE}</Choices>',
        tick("Other"),
        frozenset({"Other"}),
    ),
    "number": ('<Number name="n" toName="img" min="0" max="3"/>', number, "2"),
    "boxes": (drawn("RectangleLabels"), drag, frozenset({"Car"})),
    "masks": (drawn("BrushLabels"), drag, frozenset({"Car"})),
    "bitmasks": (drawn("BitmaskLabels"), drag, frozenset({"Car"})),
    "ellipses": (drawn("EllipseLabels"), drag, frozenset({"Car"})),
    "polygons": (drawn("PolygonLabels"), corners, frozenset({"Car"})),
    "points": (drawn("KeyPointLabels"), click, frozenset({"v"})),
    "labels": (drawn("Labels") + '<Rectangle name="b" toName="img"/>', drag, frozenset({"Car"})),
    "nothing": (drawn("RectangleLabels"), nothing, frozenset()),
}


@pytest.fixture(scope="module")
def person(label_studio: RealLabelStudio, tmp_path_factory: pytest.TempPathFactory) -> Any:
    with annotator(label_studio.url, tmp_path_factory.mktemp("pictures")) as found:
        found.log_in(label_studio.admin.email, label_studio.admin.password)
        yield found


@pytest.mark.parametrize("name", CASES)
def test_what_a_person_submits_in_the_editor_is_read(
    name: str, label_studio: RealLabelStudio, person: Annotator
) -> None:
    """(12-1) In the format that the editor writes, whatever the documents say."""
    tags, act, label = CASES[name]
    config = f'<View><Image name="img" value="$image"/>{tags}</View>'
    project = label_studio.create_project(f"kind {name}", config)
    (task,) = label_studio.import_files(project, digits(label_studio.files / "images", 1))
    person.page.goto(f"{label_studio.url}/projects/{project}/data")
    person.page.locator('button:has-text("Label All Tasks")').first.click()
    person.page.locator('button:has-text("Submit")').first.wait_for()
    person.page.locator(".konvajs-content canvas").first.wait_for()
    act(person.page)
    person.page.locator('button:has-text("Submit")').first.click()
    wait_for(lambda: label_studio.tasks(project)[task]["annotations"], 60, what="an annotation")
    result = label_studio.tasks(project)[task]["annotations"][0]["result"]
    assert label_of(said(result), parse_config(config).target) == label

"""Which images of a task are found in its data, and what is said of those that are not."""

from __future__ import annotations

from typing import Any

import pytest

from backend.adapters.label_studio.data import pages_of
from backend.core.domain import MOST_PAGES


@pytest.mark.parametrize(
    ("value", "data", "refs"),
    [
        ("$image", {"image": "a"}, ("a",)),
        ("$image.url", {"image": {"url": "a"}}, ("a",)),
        ("$image.url", {"image.url": "b", "image": {"url": "a"}}, ("b",)),  # lodash: the key itself comes first
        ("$images[0]", {"images": ["a", "b"]}, ("a",)),
        ("$images.1.url", {"images": [{"url": "a"}, {"url": "b"}]}, ("b",)),
        ("$images[1].url", {"images": [{"url": "a"}, {"url": "b"}]}, ("b",)),
        ("$image", {"image": ["a"]}, ("a",)),
        ("$pages", {"pages": ["a", "b", "c"]}, ("a", "b", "c")),
        ("${image}", {"{image}": "a"}, ("a",)),
        ("/files/$folder/$number.png", {"folder": "f", "number.png": "x"}, ("/files/f/x",)),
        ("/files/$id", {"id": 5}, ("/files/5",)),
    ],
)
def test_what_the_editor_shows_is_found(value: str, data: dict[str, Any], refs: tuple[str, ...]) -> None:
    """(10-D2) The rules of the editor's `parseValue` and of lodash's `get`."""
    found = pages_of(data, [value])
    assert (found.refs, found.note) == (refs, "")


@pytest.mark.parametrize(
    ("value", "data", "note"),
    [
        ("$image.url", {"a": 1, "b": 2}, "task data has no image.url: it has a, b"),
        ("$image.url", {"image": {"src": "x"}}, "task data has no image.url: image has src"),
        ("$image.url", {"image": "x"}, "task data has no image.url: image is text"),
        ("$images[3]", {"images": ["x"]}, "task data has no images[3]: images is a list of 1"),
        (f"$images[{'9' * 400}]", {"images": ["x"]}, "images is a list of 1"),
        ("$images[01]", {"images": ["x", "y"]}, "task data has no images[01]: images is a list of 2"),
        ("$images[0.5]", {"images": ["x"]}, "task data has no images[0.5]"),
        ("$images[x]", {"images": ["x"]}, "task data has no images[x]: images is a list of 1"),
        ("$images[0][0]", {"images": ["x"]}, "task data has no images[0][0]: images.0 is text"),
        ("$image", {}, "task data has no image: it has no keys"),
        ("$image", {"image": None}, "image is null, not the address of an image"),
        ("$image", {"image": " "}, "image is empty"),
        ("$image", {"image": 5}, "image is a number (5), not the address of an image"),
        ("$image", {"image": True}, "image is true, not the address of an image"),
        ("$image", {"image": {"url": "a"}}, "image is an object, not the address of an image"),
        ("$image", {"image": []}, "image is an empty list"),
        ("$image", {"image": [["a"]]}, "image[0] is a list of 1, not the address of an image"),
        ("/f/$name", {"x": 1}, "task data has no name: it has x"),
        ("$a", {f"k{n}": 0 for n in range(30)}, f"it has {', '.join(f'k{n}' for n in range(10))}, and 20 more"),
        ("$a", {"\x1b[31m": 0}, "it has \ufffd[31m"),
    ],
)
def test_a_missing_empty_or_wrong_value_is_named_with_what_is_there(value: str, data: Any, note: str) -> None:
    """(10-D2) The reason names the path and what was found."""
    found = pages_of(data, [value])
    assert found.refs == () and note in found.note


def test_all_images_of_all_tags_are_pages() -> None:
    """(10-D3) valueList and several Image tags, in order; what is amiss with some is told."""
    found = pages_of({"front": "a", "pages": ["b", None, "c"]}, ["$front", "$pages", "$back"])
    assert found.refs == ("a", "b", "c")
    assert found.note == "pages[1] is null, not the address of an image; task data has no back: it has front, pages"


def test_of_a_task_with_very_many_pages_the_first_are_used_and_that_is_said() -> None:
    """(10-D3) The limit."""
    found = pages_of({"pages": [str(number) for number in range(100)]}, ["$pages"])
    assert found.refs == tuple(str(number) for number in range(MOST_PAGES))
    assert found.note == "only the first 32 of its 100 images are used"


def test_a_note_stays_short() -> None:
    assert pages_of({"pages": ["a", *[None] * 1000]}, ["$pages"]).note.endswith("and 998 more like these")

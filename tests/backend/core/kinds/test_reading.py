"""What annotations say by each kind of target, in the formats that Label Studio's editor writes; and suggestions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from backend.adapters.label_studio.config import parse_config
from backend.core.domain import Guess, Label, Target
from backend.core.kinds.annotations import label_of
from backend.core.kinds.said import LONGEST, MOST, said
from backend.core.kinds.suggest import regions

WRITTEN: list[dict[str, Any]] = json.loads(Path(__file__).with_name("written.json").read_text(encoding="utf-8"))
"""name, config, result, and the label that it is: a class, or a list of those present."""


def read(config: str, result: Any) -> Label | None:
    return label_of(said(result), parse_config(config).target)


@pytest.mark.parametrize("case", WRITTEN, ids=lambda case: str(case["name"]))
def test_what_the_editor_writes_is_read(case: dict[str, Any]) -> None:
    """(12-1) The result as a person's submission left it in Label Studio."""
    wanted = case["label"]
    assert read(case["config"], case["result"]) == (frozenset(wanted) if isinstance(wanted, list) else wanted)


@pytest.mark.parametrize("case", WRITTEN, ids=lambda case: str(case["name"]))
def test_nothing_submitted_is_the_empty_set_or_no_class(case: dict[str, Any]) -> None:
    """(12-1) Nothing drawn is a negative example; no single class chosen teaches nothing."""
    assert read(case["config"], []) == (frozenset() if isinstance(case["label"], list) else None)


BOXES = Target("set", "regions", "d", "img", ("Car", "Van"))


def box(*labels: Any, tag: str = "d") -> dict[str, Any]:
    value = {"x": 1.0, "y": 1.0, "width": 5.0, "height": 5.0, "rotation": 0, "rectanglelabels": list(labels)}
    return {"id": "r1", "type": "rectanglelabels", "from_name": tag, "to_name": "img", "value": value}


@pytest.mark.parametrize(
    ("result", "label"),
    [
        ([box("Car"), box("Car"), box("Van")], {"Car", "Van"}),
        ([box("Car") for _ in range(5000)], {"Car"}),
        ([box("Car", tag="other")], set()),
        ([box()], set()),
        ([box("Gone")], {"Gone"}),
        ([box("x" * (LONGEST + 1))], None),
        ([box(5)], None),
        ([box(["Car"])], None),
        ([box(*(str(n) for n in range(MOST + 1)))], None),
        ([box(str(n)) for n in range(2 * MOST)], None),
        (["box", None, {"type": "rectanglelabels"}, {"type": 5, "value": {}}, box("Van")], {"Van"}),
        (None, set()),
    ],
)
def test_a_set_is_whole_or_it_is_none(result: Any, label: set[str] | None) -> None:
    """(12-1) What cannot be read wholly is no negative example for what it left out."""
    assert label_of(said(result), BOXES) == (None if label is None else frozenset(label))


def test_a_thousand_boxes_are_kept_as_few_words() -> None:
    """(12-1) An event waits in Redis: it holds what was named, not how often."""
    assert len(json.dumps(said([box("Car"), box("Van")] * 5000))) < 200


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 1e12, True, "3", None, {"a": 1}])
def test_what_is_no_small_number_is_no_value(value: Any) -> None:
    """(12-1) Of a rating."""
    stars = Target("one", "rating", "r", "img", ("1", "2"), suggests=True)
    told = {"type": "rating", "from_name": "r", "value": {"rating": value}}
    assert label_of(said([told]), stars) is None


SUGGESTED = [
    (Target("one", "rating", "r", "img", ("1", "2"), suggests=True), "2", {"rating": 2}),
    (Target("one", "number", "n", "img", ("0", "0.5"), suggests=True), "0.5", {"number": 0.5}),
    (Target("one", "choices", "c", "img", ("a", "b"), suggests=True), "a", {"choices": ["a"]}),
]


@pytest.mark.parametrize(("target", "guess", "value"), SUGGESTED)
def test_a_suggestion_reads_back_as_the_class(target: Target, guess: str, value: dict[str, Any]) -> None:
    """(12-1) In the form of an annotation."""
    made = regions(target, Guess(guess, 0.75))
    assert [(item["value"], item["score"]) for item in made] == [(value, 0.75)]
    assert label_of(said(made), target) == guess

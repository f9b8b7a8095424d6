"""What is read out of an annotation, and how a guess is written into a prediction."""

from __future__ import annotations

from typing import Any

import pytest

from backend.core.annotations import LONGEST, choices_in, parse_annotation, parse_time, regions
from backend.core.domain import Guess, LabelConfig

CONFIG = LabelConfig("image", "digit", "img", ("one", "two"), True)


def choice(*names: Any, tag: str = "digit") -> dict[str, Any]:
    return {"from_name": tag, "to_name": "img", "type": "choices", "value": {"choices": list(names)}}


def raw(result: Any, **more: Any) -> dict[str, Any]:
    return {"id": 7, "task": 3, "result": result, "updated_at": "2026-11-21T10:00:00.500000Z"} | more


def test_the_one_choice_of_our_tag_is_the_label() -> None:
    found = parse_annotation(raw([choice("other", tag="mood"), choice("two")]), "digit")
    assert (found.id, found.task_id, found.choice, found.skipped) == (7, 3, "two", False)
    assert found.updated_at == pytest.approx(1795255200.5)


@pytest.mark.parametrize(
    "result",
    [
        None,
        "text",
        [],
        [{"type": "rectanglelabels", "value": {}}],
        [choice("one", "two")],
        [choice("one"), choice("two")],
    ],
)
def test_no_choice_or_several_are_no_label(result: Any) -> None:
    assert parse_annotation(raw(result), "digit").choice is None


@pytest.mark.parametrize("region", [{"type": "choices"}, {"type": "choices", "value": {"choices": "one"}}, 5, None])
def test_malformed_regions_are_passed_over(region: Any) -> None:
    assert [names for _, names in choices_in([region, choice("one")])] == [("one",)]


def test_a_name_of_ten_megabytes_is_not_kept() -> None:
    assert choices_in([choice("x" * 10_000_000)]) == [("digit", ())]
    assert choices_in([choice("x" * LONGEST)]) == [("digit", ("x" * LONGEST,))]


def test_a_skip_is_told_by_was_cancelled() -> None:
    assert parse_annotation(raw([], was_cancelled=True), "digit").skipped


@pytest.mark.parametrize("text", [None, 12, "yesterday", ""])
def test_what_is_no_time_never_wins(text: Any) -> None:
    assert parse_time(text) == 0.0


def test_a_time_without_zone_is_utc() -> None:
    assert parse_time("2026-11-21T10:00:00") == parse_time("2026-11-21T10:00:00Z")


def test_a_guess_becomes_a_region_that_reads_back_as_its_choice() -> None:
    made = regions(CONFIG, Guess("two", 0.75))
    assert made[0]["score"] == 0.75
    assert parse_annotation(raw(made), "digit").choice == "two"


def test_no_guess_or_no_single_choice_gives_an_empty_form() -> None:
    assert regions(CONFIG, None) == []
    assert regions(LabelConfig("image", "boxes", "img", ("one",), False, "boxes"), Guess("one", 1.0)) == []

"""What is read out of an annotation, and how a guess is written into a prediction."""

from __future__ import annotations

from typing import Any

import pytest

from backend.core.domain import Guess, Target
from backend.core.kinds.annotations import parse_annotation, parse_time
from backend.core.kinds.paths import path_name
from backend.core.kinds.said import LONGEST, MOST, said
from backend.core.kinds.suggest import regions

DIGIT = Target("one", "choices", "digit", "img", ("one", "two"), suggests=True)


def choice(*names: Any, tag: str = "digit") -> dict[str, Any]:
    return {"from_name": tag, "to_name": "img", "type": "choices", "value": {"choices": list(names)}}


def raw(result: Any, **more: Any) -> dict[str, Any]:
    return {"id": 7, "task": 3, "result": result, "updated_at": "2026-11-21T10:00:00.500000Z"} | more


def test_the_one_choice_of_our_tag_is_the_label() -> None:
    found = parse_annotation(raw([choice("other", tag="mood"), choice("two")]), DIGIT)
    assert (found.id, found.task_id, found.label, found.skipped) == (7, 3, "two", False)
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
    assert parse_annotation(raw(result), DIGIT).label is None


@pytest.mark.parametrize("region", [{"type": "choices"}, {"type": "choices", "value": {"choices": "one"}}, 5, None])
def test_malformed_regions_are_passed_over(region: Any) -> None:
    assert [names for _, names in said([region, choice("one")])] == [("one",)]


def test_a_name_of_ten_megabytes_is_not_kept() -> None:
    assert said([choice("x" * 10_000_000)]) == [("digit", None)]
    assert said([choice("x" * LONGEST)]) == [("digit", ("x" * LONGEST,))]


def test_a_skip_is_told_by_was_cancelled() -> None:
    assert parse_annotation(raw([], was_cancelled=True), DIGIT).skipped


@pytest.mark.parametrize("text", [None, 12, "yesterday", ""])
def test_what_is_no_time_never_wins(text: Any) -> None:
    assert parse_time(text) == 0.0


def test_a_time_without_zone_is_utc() -> None:
    assert parse_time("2026-11-21T10:00:00") == parse_time("2026-11-21T10:00:00Z")


def test_a_guess_becomes_a_region_that_reads_back_as_its_choice() -> None:
    made = regions(DIGIT, Guess("two", 0.75))
    assert made[0]["score"] == 0.75
    assert parse_annotation(raw(made), DIGIT).label == "two"


def test_no_guess_or_no_single_choice_gives_an_empty_form() -> None:
    assert regions(DIGIT, None) == []
    assert regions(Target("set", "regions", "boxes", "img", ("one",)), Guess("one", 1.0)) == []
    assert regions(Target("none"), Guess("one", 1.0)) == []


NESTED = Target("one", "choices", "digit", "img", ("Animal", "Animal/Cat", "Animal/Dog", "Other"), nested=True)


@pytest.mark.parametrize(
    ("paths", "label"),
    [
        ([["Animal", "Cat"]], "Animal/Cat"),
        ([["Other"]], "Other"),
        ([["Animal"], ["Animal", "Cat"], ["Animal", "Dog"]], "Animal"),  # a tick of Animal ticks all below it
        ([["Animal"], ["Animal", "Cat"]], "Animal/Cat"),  # the only one below it
        ([["A"], ["A", "B"], ["A", "B", "C"], ["A", "B", "D"]], "A/B"),
        ([["Animal", "Cat"], ["Animal", "Dog"]], None),
        ([["Animal"], ["Animal", "Cat"], ["Other"]], None),
        (["Other"], "Other"),  # given before the choices were nested
        ([[]], None),
        ([["Animal", 5]], None),
        ([["x" * LONGEST, "y"]], None),
        ([["A"], *(["A", str(number)] for number in range(MOST))], None),  # more than is read
    ],
)
def test_the_path_of_a_nested_choice_is_the_class(paths: list[Any], label: str | None) -> None:
    """(10-nested) As the editor writes them."""
    assert parse_annotation(raw([choice(*paths)]), NESTED).label == label


def test_a_path_is_no_class_where_choices_are_not_nested() -> None:
    assert parse_annotation(raw([choice(["one"])]), DIGIT).label is None


def test_names_of_paths_never_collide() -> None:
    """(10-nested) A slash within a name is not the one between two."""
    parts = ["a", "b", "/", "a/", "/b", "\\", "a\\", "\\/", "/\\"]
    paths = [(one,) for one in parts] + [(one, two) for one in parts for two in parts]
    assert len({path_name(path) for path in paths}) == len(paths)
    assert path_name(("Animal", "Cat")) == "Animal/Cat" and path_name(("cat/dog",)) == r"cat\/dog"


def test_a_guess_of_a_nested_class_is_not_sent() -> None:
    """(10-nested) Label Studio drops a prediction that holds a path, and the whole order with it."""
    assert regions(NESTED, Guess("Animal/Cat", 0.9)) == []

"""(10-A4) The one reader of JSON from outside: what it takes, what it refuses, in words and in time."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.cli.base import parse_params
from backend.core.errors import UserError
from backend.core.text.json_text import DEEPEST, BadJson, parse, rounded

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES, st.booleans())
def test_what_json_can_hold_is_read_as_it_is(value, ascii_only):
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert parse(text, "x") == value and parse(text.encode(), "x") == value


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "Expecting value"),
        ("[" * 90_000, "nested too deeply"),
        ('{"a":' * 90_000, "nested too deeply"),
        ("[" * 90_000 + "]" * 90_000, "nested too deeply"),
        ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), f"at most {DEEPEST} levels"),
        ('{"a":' * (DEEPEST + 1) + "1" + "}" * (DEEPEST + 1), f"at most {DEEPEST} levels"),
        ("9" * 5_001, f"{'9' * 40}... is too large"),
        ('{"a": [-' + "9" * 301 + "]}", "is too large"),
        ("NaN", "NaN is no number"),
        ("[-Infinity]", "-Infinity is no number"),
        ("1e999", "1e999 is too large"),
        ('{"a": 1, "b": 2, "a": 3}', "'a' stands twice"),
        ('"\\ud800"', "surrogate"),
        ('{"\\udc00\\ud800": 1}', "surrogate"),
        (b'"\xff"', "not UTF-8"),
        ("{}".encode("utf-16"), "is no JSON"),
        (b"\xef\xbb\xbf{}", "is no JSON"),
        ('"a\nb"', "control character"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_is_no_json_is_refused_with_the_reason(text, told):
    with pytest.raises(BadJson, match="the body") as raised:
        parse(text, "the body")
    assert told in str(raised.value) and len(str(raised.value)) < 200
    assert isinstance(raised.value, UserError) and isinstance(raised.value, ValueError)


def test_the_deepest_text_and_a_true_pair_of_surrogates_are_taken():
    assert json.dumps(parse("[" * DEEPEST + "]" * DEEPEST, "x")).count("[") == DEEPEST
    assert parse("-" + "9" * 299, "x") == 1 - 10**299
    assert parse('"\\ud83d\\ude00 \\u0000"', "x") == "😀 \0"


def test_many_keys_with_one_twice_cost_no_more_than_once_through():
    many = ", ".join(f'"{number}": 0' for number in range(100_000))
    with pytest.raises(BadJson, match="'7' stands twice"):
        parse(f'{{{many}, "7": 1}}', "x")


@pytest.mark.parametrize("value", ["[" * 90_000, "NaN", "9" * 5_001])
def test_a_value_on_the_command_line_that_is_no_json_is_a_text(value):
    assert parse_params([f"k={value}"]) == {"k": value}


def test_numbers_that_people_see_have_no_noise_of_floats():
    noisy = {"high": 0.9999999999999998, "sum": [0.1 + 0.2, (1 / 3,)], "at": 1795226592.1234567, "rate": 1e-12, "n": 3}
    assert rounded(noisy) == {
        "high": 1.0,
        "sum": [0.3, [0.333333333333]],
        "at": 1795226592.123,
        "rate": 1e-12,
        "n": 3,
    }
    assert type(rounded(True)) is bool and type(rounded(10**30)) is int

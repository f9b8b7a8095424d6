"""The registry: names, parameters, plugins, and that asking for names loads no torch."""

import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import EntryPoint

import pytest

import selection
from selection import BadParameter, UnknownSelector, registry


def test_unknown_names_and_parameters_are_answered_with_the_known_ones():
    with pytest.raises(UnknownSelector, match=r"known: .*coreset.*typiclust"):
        selection.create("corset")
    with pytest.raises(BadParameter, match=r"typiclust has no parameter neighbours; it takes: .*neighbors"):
        selection.create("typiclust", neighbours=3)


def test_schema_gives_types_defaults_and_ranges():
    assert selection.schema("auto")["labels_per_class"] == {
        "type": "int",
        "default": 20,
        "minimum": 1,
        "maximum": 1_000_000,
        "reason": "more than the rows of a pool of a million",
    }


def test_names_and_schemas_load_no_torch():
    code = "import sys, selection; [selection.schema(n) for n in selection.names()]; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_taken_name_and_a_class_that_is_no_dataclass_are_refused():
    with pytest.raises(BadParameter, match=r"taken by selection.strategies.coreset"):
        registry.register("coreset")(dataclass(frozen=True)(type("Other", (), {})))
    with pytest.raises(BadParameter, match=r"frozen dataclass"):
        registry.register("plain")(type("Plain", (), {}))


def test_selectors_of_other_distributions_are_found_by_entry_point(monkeypatch):
    asked = []

    def points(group):
        asked.append(group)
        return [EntryPoint("theirs", "tests.selection.plugin", group)]

    monkeypatch.setattr(registry, "entry_points", points)
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    registry._load_plugins.cache_clear()
    try:
        assert "theirs" in selection.names()
        assert asked == ["labelqueue.selectors"]
        assert registry.entry("theirs").summary == "Every other row. Ours, for a test. Cost O(n)."
    finally:
        registry._load_plugins.cache_clear()


def test_the_public_names_are_there():
    assert set(selection.__all__) <= set(dir(selection))
    assert {"Pool", "Ranking", "rank", "check", "create", "names"} <= set(selection.__all__)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("auto", {"warm": "x"}),
        ("auto", {"cold": "x"}),
        ("mix", {"parts": {"margin": 1.0, "x": 1.0}}),
        ("diverse", {"score": "x"}),
        ("bilaf", {"core": "x"}),
        ("margin", {"fallback": "x"}),
    ],
)
def test_a_selector_that_names_an_unknown_one_is_refused_before_it_ranks(name, params):
    with pytest.raises(BadParameter, match="names no selector 'x'; known: activeft, auto"):
        registry.create(name, **params)


@pytest.mark.parametrize(("name", "field"), [("activeft", "rate"), ("graphcover", "alpha"), ("probcover", "delta")])
def test_a_number_beyond_what_a_float_holds_is_refused(name, field):
    with pytest.raises(BadParameter, match=f"{field} must be a number"):
        registry.create(name, **{field: 10**400})

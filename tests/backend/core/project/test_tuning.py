"""Settings are checked in one place, whoever gives them: extra params, the command line, the API."""

from __future__ import annotations

import json

import pytest

from backend.core.domain import SETTINGS
from backend.core.errors import BadSetting
from backend.core.project.register import register
from backend.core.project.tuning import change, checked, current
from tests.backend.world import KEY, World
from tests.fakes import LABEL_CONFIG

GOOD = {
    "batch_size": [(3, 3), ("7", 7), (5.0, 5)],
    "min_interval": [(0, 0.0), (2.5, 2.5)],
    "head_size": [(50, 50), ("default", None), (None, None)],
    "preannotate": [("off", False), (True, True)],
    "audit_share": [(0, 0.0), (0.5, 0.5), ("0.1", 0.1)],
    "renewal": [("off", "off"), ("suggest", "suggest"), ("auto", "auto"), ("default", None)],
    "calibrate": [("on", True), (False, False)],
    "learn_from": [("digit", "digit"), ("default", ""), (None, "")],
}
BAD = {
    "batch_size": ([0, -1, True, "x", None, 2.5, float("nan"), 2**70], "batch_size must be"),
    "min_interval": ([-1, True, "x", None, float("inf"), 1e12], "min_interval must be"),
    "head_size": ([0, False, "x", [], 1.5], "head_size must be"),
    "preannotate": (["yes", 1, None], "preannotate must be true or false"),
    "audit_share": ([-0.1, 0.51, True, "x", None, float("nan")], "audit_share must be a share from 0"),
    "renewal": (["on", True, 1, [], {}], "renewal must be one of off, suggest, auto, default"),
    "calibrate": (["maybe", 0], "calibrate must be true or false"),
    "learn_from": ([5, True, [], {}, "x" * 1001], "learn_from must be the name of a tag"),
}


def test_every_setting_is_tried_here():
    assert set(GOOD) == set(BAD) == set(SETTINGS)


@pytest.mark.parametrize(("name", "given", "kept"), [(n, *pair) for n, pairs in GOOD.items() for pair in pairs])
def test_good_values_are_brought_to_their_type_and_kept_by_the_database(tmp_path, name, given, kept):
    assert checked({name: given}) == {name: kept}
    assert type(checked({name: given})[name]) is type(kept)
    world = World(tmp_path)
    project = world.connect(1)
    assert change(world.services, project, {name: given})[name] == kept == getattr(world.project, name)


@pytest.mark.parametrize(("name", "given", "told"), [(n, v, told) for n, (values, told) in BAD.items() for v in values])
def test_bad_values_are_refused_with_what_is_taken(name, given, told):
    with pytest.raises(BadSetting, match=told):
        checked({name: given})


def test_one_bad_value_changes_nothing(tmp_path):
    world = World(tmp_path)
    before = current(world.connect(1))
    for bad in ({"batch_size": 5, "audit_share": 2}, {"batch_size": 5, "audit_shar": 0.1}):
        with pytest.raises(BadSetting, match="audit_share"):
            change(world.services, world.project, bad)
    assert current(world.project) == before


def test_extra_params_take_the_same_settings(tmp_path):
    world = World(tmp_path)
    world.connect(1)
    register(world.services, KEY, LABEL_CONFIG, json.dumps({"audit_share": 0.2, "renewal": "off", "calibrate": True}))
    assert (world.project.audit_share, world.project.renewal, world.project.calibrate) == (0.2, "off", True)
    with pytest.raises(BadSetting, match="renewal must be one of"):
        register(world.services, KEY, LABEL_CONFIG, {"renewal": "sometimes"})


@pytest.mark.parametrize("name", sorted(SETTINGS))
@pytest.mark.parametrize("value", ["x" * 5000, ["x"] * 5000, 10**5000, {"x" * 5000: 1}], ids=["s", "l", "n", "d"])
def test_a_long_value_is_told_cut(name, value):
    """(10-E4) It came back whole."""
    with pytest.raises(BadSetting, match=f"{name} must be") as caught:
        checked({name: value})
    assert len(str(caught.value)) < 300


def test_long_names_are_told_cut():
    with pytest.raises(BadSetting, match="unknown setting '0xxx") as caught:
        checked({f"{i}{'x' * 5000}": 1 for i in range(1000)})
    assert len(str(caught.value)) < 600

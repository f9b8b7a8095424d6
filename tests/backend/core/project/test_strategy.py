"""Switching the selector at run time, by name or by preset."""

from __future__ import annotations

import pytest

from backend.core.errors import BadSetting
from backend.core.project import strategy, tuning
from backend.core.project.register import register
from tests.backend.world import KEY, World
from tests.fakes import LABEL_CONFIG


def test_a_switched_strategy_asks_for_a_round_and_a_bad_one_keeps_the_old(world: World) -> None:
    project = world.connect(10)
    world.asked()
    strategy.switch(world.services, project.id, "coreset")
    assert world.asked() == ["cycle"]
    with pytest.raises(BadSetting, match="known: "):
        strategy.switch(world.services, project.id, "nonsense")
    assert world.project.strategy.name == "coreset"


@pytest.mark.parametrize(
    ("name", "selector", "renewal", "calibrate"),
    [
        ("asvp-margin", "margin", "auto", False),
        ("svpp-margin", "margin", "off", False),
        ("activedc", "activeft", "auto", True),
        ("badge", "badge", None, False),
    ],
)
def test_a_preset_sets_selector_renewal_and_calibration(
    world: World, name: str, selector: str, renewal: str | None, calibrate: bool
) -> None:
    project = world.connect(10)
    strategy.switch(world.services, project.id, name)
    after = world.project
    assert (after.strategy.name, after.renewal, after.calibrate) == (selector, renewal, calibrate)


def test_a_preset_in_the_extra_params_acts_as_one_given_by_command(world: World) -> None:
    world.connect(10)
    register(world.services, KEY, LABEL_CONFIG, '{"strategy": "activedc"}')
    assert (world.project.strategy.name, world.project.renewal, world.project.calibrate) == ("activeft", "auto", True)


def test_a_plain_strategy_gives_back_what_the_preset_before_it_took(world: World) -> None:
    project = world.connect(10)
    tuning.change(world.services, project, {"renewal": "suggest"})
    for name in ("asvp-margin", "activedc", "kmeans"):
        strategy.switch(world.services, project.id, name)
    assert (world.project.renewal, world.project.calibrate) == ("suggest", False)


def test_what_a_person_sets_under_a_preset_stays_when_the_preset_goes(world: World) -> None:
    project = world.connect(10)
    strategy.switch(world.services, project.id, "activedc")
    tuning.change(world.services, world.project, {"calibrate": "on"})
    strategy.switch(world.services, project.id, "margin")
    assert (world.project.renewal, world.project.calibrate) == (None, True)


def test_new_parameters_alone_leave_the_presets_settings(world: World) -> None:
    world.connect(10)
    register(world.services, KEY, LABEL_CONFIG, '{"strategy": "asvp-badge"}')
    register(world.services, KEY, LABEL_CONFIG, '{"params": {}, "batch_size": 5}')
    assert (world.project.strategy.name, world.project.renewal, world.project.batch_size) == ("badge", "auto", 5)


def test_a_setting_beside_the_preset_in_the_extra_params_is_a_persons(world: World) -> None:
    world.connect(10)
    register(world.services, KEY, LABEL_CONFIG, '{"strategy": "asvp-badge", "renewal": "suggest"}')
    register(world.services, KEY, LABEL_CONFIG, '{"strategy": "badge"}')
    assert world.project.renewal == "suggest"


def kept(world: World) -> tuple[object, ...]:
    now = world.project
    return now.strategy.name, dict(now.strategy.params), now.preset, now.renewal, now.calibrate, dict(now.before_preset)


def test_the_presets_name_is_kept_until_a_plain_strategy_takes_its_place(world: World) -> None:
    """(10-F2) `asvp-margin` was remembered as `margin`."""
    project = world.connect(10)
    before = {"renewal": None, "calibrate": False}
    for name, expected in (
        ("asvp-margin", ("margin", {}, "asvp-margin", "auto", False, before)),
        ("asvp-margin", ("margin", {}, "asvp-margin", "auto", False, before)),  # twice is once
        ("activedc", ("activeft", {}, "activedc", "auto", True, before)),
        ("svpp-margin", ("margin", {}, "svpp-margin", "off", False, before)),
        (None, ("margin", {}, "svpp-margin", "off", False, before)),  # parameters alone
        ("margin", ("margin", {}, None, None, False, {})),
        ("margin", ("margin", {}, None, None, False, {})),
    ):
        strategy.switch(world.services, project.id, name)
        assert kept(world) == expected
    strategy.switch(world.services, project.id, "svpp-typiclust", {"neighbors": 7})
    assert kept(world)[:3] == ("typiclust", {"neighbors": 7}, "svpp-typiclust")


def test_only_another_order_asks_for_a_round(world: World) -> None:
    project = world.connect(10)
    world.clock.time += 5
    strategy.switch(world.services, project.id, "asvp-margin")
    switched = world.project.strategy_changed_at
    assert (world.asked().count("cycle"), switched) == (1, world.clock.time)
    world.clock.time += 5
    for name in ("asvp-margin", "svpp-margin", "margin"):  # the selector and its parameters stay
        strategy.switch(world.services, project.id, name)
    assert ("cycle" in world.asked(), world.project.strategy_changed_at) == (False, switched)


def test_a_refused_switch_changes_nothing_at_all(world: World) -> None:
    project = world.connect(10)
    strategy.switch(world.services, project.id, "asvp-margin")
    before = world.project
    for name, params in (("svpp-nonsense", {}), ("activedc", {"no": 1}), (None, {"no": 1})):
        with pytest.raises(BadSetting):
            strategy.switch(world.services, project.id, name, params)
    assert world.project == before

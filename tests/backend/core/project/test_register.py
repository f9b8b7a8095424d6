"""Saying hello: extra params are taken over or refused whole; nothing is added or removed, whoever says it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from backend.adapters.state.tables import metadata
from backend.core.domain import TITLE
from backend.core.errors import BadSetting
from backend.core.project import strategy, tuning
from backend.core.project.register import MOST_CALLERS, parse_extra, register, take_extra
from tests.backend.world import KEY, LS_ID, World
from tests.fakes import LABEL_CONFIG


def everything(world: World) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables."""
    with world.state.engine.connect() as connection:
        return {name: [tuple(row) for row in connection.execute(select(t))] for name, t in metadata.tables.items()}


@pytest.fixture
def ranked(tmp_path: Path, migrated_url: str) -> Iterator[World]:
    """A project with labels, a ranking and settings, on each database."""
    world = World(tmp_path, database_url=migrated_url)
    world.connect(12)
    world.embed_all()
    world.label(1, 2, 3)
    world.rank()
    tuning.change(world.services, world.project, {"batch_size": 4})
    world.asked()
    yield world
    world.state.close()


@pytest.mark.parametrize("key", [f"{LS_ID}.1", f"{LS_ID}", f"{LS_ID}.17000000000", "6.1700000000", "2147483647.1"])
def test_a_hello_by_another_key_than_the_rows_changes_nothing(ranked: World, key: str) -> None:
    """(10-A1) One unsigned /setup wiped a project: its stamp differed. Nothing is taken of it, settings neither."""
    world = ranked
    vectors = {at: dict(found) for at, found in world.features.stored.items()}
    before = everything(world)
    extra = {"strategy": "random", "batch_size": 1, "audit_share": 0}
    assert register(world.services, key, "<View/>", extra) == TITLE
    assert everything(world) == before
    assert world.features.stored == vectors and world.features.guesses
    assert world.asked() == ["meet"]


def test_thousands_of_unknown_projects_leave_one_job_and_a_bounded_list(world: World) -> None:
    """(10-A1) A row each, asked for again and again, is what they left."""
    before = everything(world)
    for number in range(1, 3001):
        assert register(world.services, f"{number}.1", LABEL_CONFIG) == TITLE
    assert everything(world) == before
    assert len(world.jobs.callers()) == MOST_CALLERS
    assert world.asked() == ["meet"]


def test_bad_extra_params_of_an_unknown_project_are_told_and_nothing_waits(world: World) -> None:
    with pytest.raises(BadSetting, match="margn"):
        register(world.services, KEY, LABEL_CONFIG, '{"strategy": "margn"}')
    with pytest.raises(BadSetting, match="names no selector 'part'"):
        register(world.services, KEY, LABEL_CONFIG, {"strategy": "mix", "params": {"parts": {"part": 1.0}}})
    with pytest.raises(BadSetting, match=r"iterations must be a whole number from 0 to 1,000, got one of about 4,001"):
        register(world.services, KEY, LABEL_CONFIG, {"strategy": "typiclust", "params": {"iterations": 10**4000}})
    with pytest.raises(BadSetting, match="more than 10000 characters"):
        register(world.services, KEY, LABEL_CONFIG, {"learn_from": "\U0001f600" * 1000})  # each is \\ud83d\\ude00
    assert world.jobs.callers() == [] and world.services.projects.all() == []


def test_another_label_config_only_asks_for_a_look(world: World) -> None:
    world.connect(3)
    world.asked()
    register(world.services, KEY, LABEL_CONFIG)
    assert world.asked() == []
    register(world.services, KEY, "<View/>")
    register(world.services, KEY, "<View/>")
    assert world.asked() == ["sync"] and world.project.label_config == LABEL_CONFIG


@pytest.mark.parametrize(
    "extra",
    [
        {"strategy": "random", "batch_size": 3},
        '{"strategy": "random", "batch_size": 3}',
        '{"batch_size":3,"strategy":"random"} ',
    ],
)
def test_extra_params_switch_the_strategy_as_text_or_object(world: World, extra: object) -> None:
    world.connect(3)
    register(world.services, KEY, LABEL_CONFIG, extra)
    assert (world.project.strategy.name, world.project.batch_size) == ("random", 3)


def test_seeing_the_same_extra_params_again_does_not_undo_a_switch_made_elsewhere(world: World) -> None:
    world.connect(3)
    register(world.services, KEY, LABEL_CONFIG, '{"strategy": "random"}')
    strategy.switch(world.services, world.project.id, "coreset")
    register(world.services, KEY, LABEL_CONFIG, '{"strategy": "random"}')
    assert world.project.strategy.name == "coreset"
    register(world.services, KEY, LABEL_CONFIG, '{"strategy": "typiclust"}')
    assert world.project.strategy.name == "typiclust"


@pytest.mark.parametrize(
    ("first", "again"),
    [
        ({"batch_size": "10", "strategy": "random"}, {"batch_size": 10, "strategy": "random"}),
        ({"batch_size": 10, "strategy": "random"}, '{"strategy": "random", "batch_size": 10.0}'),
        ({"preannotate": "on", "strategy": "random"}, {"strategy": "random", "params": {}, "preannotate": True}),
    ],
)
def test_extra_params_that_mean_the_same_do_not_undo_a_switch_made_elsewhere(
    world: World, first: object, again: object
) -> None:
    """(10-F3) A page load with "10" for 10, or with what `connect` had sent in another type, changes nothing."""
    project = world.connect(3)
    given = parse_extra(first)
    kept = copy.deepcopy(given)
    take_extra(world.services, project, given)
    assert given == kept
    strategy.switch(world.services, project.id, "coreset")
    tuning.change(world.services, world.project, {"batch_size": 25})
    for extra in (again, first):
        register(world.services, KEY, LABEL_CONFIG, extra)
    assert (world.project.strategy.name, world.project.batch_size) == ("coreset", 25)


def test_extra_params_kept_by_an_older_version_as_they_were_typed_do_not_undo_a_switch(world: World) -> None:
    """(10-F3) `connect` used to keep "10" where a page load kept 10."""
    world.connect(3)
    world.set(extra_params='{"batch_size": "10", "strategy": "random"}')
    register(world.services, KEY, LABEL_CONFIG, {"batch_size": 10, "strategy": "random"})
    assert world.project.strategy.name == "auto"


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ("{strategy: x}", "no JSON"),
        ('{"strategy": "margn"}', "known: "),
        ('{"strategy": "random", "params": {"sed": 1}}', "no parameter sed"),
        ('{"stratgy": "random"}', "unknown stratgy"),
        ("[1]", "JSON object"),
        ('{"batch_size": 0}', "batch_size must be a positive number"),
        ('{"batch_size": true}', "batch_size must be a positive number"),
        ('{"preannotate": 1}', "true or false"),
    ],
)
def test_wrong_extra_params_say_what_is_wrong_and_change_nothing(world: World, extra: str, told: str) -> None:
    world.connect(3)
    with pytest.raises(BadSetting, match=told):
        register(world.services, KEY, LABEL_CONFIG, extra)
    assert (world.project.strategy.name, world.project.batch_size) == ("auto", 10)


@pytest.mark.parametrize("key", ["", "x.1", "-3", "../etc", "²", "0.1", "01.1", "1.", "1.1.1", "2147483648.1", "1.1\n"])
def test_a_malformed_project_key_is_refused(world: World, key: str) -> None:
    with pytest.raises(BadSetting, match="form <id>"):
        register(world.services, key, LABEL_CONFIG)

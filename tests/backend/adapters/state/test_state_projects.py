"""Projects, their keys and settings, and the installation's secrets."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest

from backend.core.domain import LabelConfig, ProjectSettings, Strategy
from backend.core.errors import AnotherProject, BadSetting, UnknownProject
from backend.core.project import strategy
from backend.core.project.presets import preset
from tests.backend.conftest import CONFIG


def add(state, key: str, title: str = "Pets"):
    return state.projects.add(7, key, title=title, label_config="<View/>", config=CONFIG, at=1.0)


def test_a_project_is_found_by_both_ids_as_it_was_added(state, project):
    assert state.projects.get(project.id) == state.projects.by_ls_id(7) == project
    assert state.projects.all() == [project]
    assert (project.config, project.strategy, project.extra_params) == (CONFIG, Strategy(), "")


def test_adding_again_updates_what_label_studio_owns_and_keeps_the_settings(state, project):
    def change(now):
        now = replace(now, batch_size=3, preannotate=False, synced_at=5.5, head_size=20, backbone="b")
        return replace(now, strategy=Strategy("margin", {"k": 2}), strategy_changed_at=9.0)

    state.projects.edit(project.id, change)
    other = LabelConfig("img", problem="no Choices")
    again = state.projects.add(7, "7.1", title="Zoo", label_config="<View></View>", config=other, at=10.0)
    assert again == replace(
        project,
        title="Zoo",
        label_config="<View></View>",
        config=other,
        batch_size=3,
        preannotate=False,
        synced_at=5.5,
        head_size=20,
        backbone="b",
        strategy=Strategy("margin", {"k": 2}),
        strategy_changed_at=9.0,
    )


def test_a_key_is_completed_and_never_shortened(state):
    short = add(state, "7")
    full = add(state, "7.55")
    assert (full.id, full.key) == (short.id, "7.55")
    assert add(state, "7").key == "7.55"


def test_a_project_created_at_another_time_is_refused_and_changes_nothing(state, project):
    """(10-A1) Only `replace` drops a project."""
    state.tasks.upsert(project.id, [(1, "a")])
    with pytest.raises(AnotherProject, match=r"7\.1 here and 7\.2 in Label Studio"):
        add(state, "7.2", "Zoo")
    assert state.projects.all() == [project] and state.tasks.counts(project.id).tasks == 1


def test_defaults_are_for_new_projects_only(state):
    given = {"title": "Pets", "label_config": "<View/>", "config": CONFIG, "at": 1.0}
    made = state.projects.add(7, "7.1", **given, settings=ProjectSettings(batch_size=3))
    assert (
        state.projects.add(7, "7.1", **given, settings=ProjectSettings(batch_size=4)).batch_size == made.batch_size == 3
    )


def test_a_replaced_project_starts_fresh_and_is_replaced_once(state, project):
    state.tasks.upsert(project.id, [(1, "a")])
    state.projects.edit(project.id, lambda now: replace(now, batch_size=3))
    given = {"title": "Zoo", "label_config": "<View/>", "config": CONFIG, "at": 1.0}
    fresh = state.projects.replace(project.id, "7.2", **given)
    assert (fresh.ls_id, fresh.key, fresh.title, fresh.batch_size) == (7, "7.2", "Zoo", 10) and fresh.id != project.id
    with pytest.raises(UnknownProject):
        state.projects.replace(project.id, "7.2", **given)
    assert state.projects.all() == [fresh]
    assert state.tasks.counts(fresh.id).tasks == state.tasks.counts(project.id).tasks == 0
    with pytest.raises(UnknownProject):
        state.projects.get(project.id)


def test_our_ids_are_never_given_twice(state, project):
    state.projects.remove(project.id)
    assert add(state, "7.1").id > project.id


def switched(name: str, at: float):
    """What `core.project.strategy` makes of a project when `name` is chosen at this time."""
    return lambda now: strategy.switched(now, name, {}, at)


def test_of_strategies_switched_at_once_one_is_there_wholly(state, project):
    """(10-F2) Settings and selector were two transactions: a kill left half, and two admins' switches mixed."""
    names = ("asvp-margin", "svpp-random", "activedc", "margin", "random")
    for turn in range(8):
        start = Barrier(len(names))

        def switch(name, turn=turn, start=start):
            start.wait(30)
            return state.projects.edit(project.id, switched(name, 10.0 + turn))

        with ThreadPoolExecutor(len(names)) as pool:
            results = list(pool.map(switch, names))
        for name, made in zip(names, results, strict=True):
            alone = replace(made, preset=name if "-" in name or name == "activedc" else None)
            assert made == alone and made.strategy == preset(name).strategy
        assert state.projects.get(project.id) in results
        state.projects.edit(project.id, switched("auto", 10.5 + turn))
        now = state.projects.get(project.id)
        assert (now.preset, now.renewal, now.calibrate, now.before_preset) == (None, None, False, {})


def test_an_edit_that_raises_changes_nothing(state, project):
    def change(now):
        raise BadSetting(f"{now.title} stays")

    with pytest.raises(BadSetting, match="Pets stays"):
        state.projects.edit(project.id, change)
    with pytest.raises(BadSetting, match="cannot change features_version"):  # only a move of feature versions sets it
        state.projects.edit(project.id, lambda now: replace(now, features_version=2, batch_size=3))
    assert state.projects.get(project.id) == project


def test_unknown_projects_are_refused(state, project):
    for call in (
        lambda: state.projects.get(99),
        lambda: state.projects.by_ls_id(99),
        lambda: state.projects.by_ls_id(2**31),  # PostgreSQL has an error of its own for these
        lambda: state.projects.by_ls_id(10**30),
        lambda: state.projects.edit(99, lambda now: now),
        lambda: state.tasks.upsert(99, [(1, "a")]),
        lambda: state.tasks.apply(99, []),
    ):
        with pytest.raises(UnknownProject, match=r"project \d+ is not connected"):
            call()


def test_text_that_a_database_cannot_hold_is_kept_readable(state):
    assert add(state, "7.1", title="a\0b\ud800c").title == "a\ufffdb?c"


def test_a_secret_is_made_once_and_is_long(state):
    one = state.projects.secret("webhook")
    assert state.projects.secret("webhook") == one
    assert state.projects.secret("session") != one
    assert len(one) >= 40


@pytest.mark.parametrize("how", ["add", "replace"])
def test_many_who_add_or_replace_a_project_at_once_make_one(state, how):
    """(10-A1) `connect` and the worker that its /setup woke both enroll the project."""
    given = {"title": "Pets", "label_config": "<View/>", "config": CONFIG, "at": 1.0}
    old = state.projects.add(7, "7.1", **given) if how == "replace" else None
    together = threading.Barrier(6)

    def enroll(_: int) -> int | None:
        together.wait(30)
        try:
            made = state.projects.replace(old.id, "7.2", **given) if old else state.projects.add(7, "7.1", **given)
        except UnknownProject:
            return None
        return made.id

    with ThreadPoolExecutor(6) as pool:
        ids = [number for number in pool.map(enroll, range(6)) if number is not None]
    (left,) = state.projects.all()
    assert set(ids) == {left.id} and len(ids) == (1 if old else 6)

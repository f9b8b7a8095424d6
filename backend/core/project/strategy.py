"""Switch a project's selector at run time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import selection
from backend.core import jobs
from backend.core.domain import SETTINGS, LabelConfig, Project, RenewalMode, Strategy
from backend.core.errors import BadSetting
from backend.core.project.presets import Preset, preset
from backend.core.services import Services
from selection.registry import require_form


def switch(services: Services, project: int, name: str | None, params: Mapping[str, Any] | None = None) -> Strategy:
    """Rank by another selector from now on (None: by the same with these parameters); live after one learning round.

    `name` may be a preset (`asvp-margin`, `svpp-margin`, `activedc`): it also decides whether features are renewed and
    trainings calibrated, until the next switch. All of it is one transaction, so of two switches at once the later one
    is what there is. Raises `BadSetting` with the known names or parameters; the old strategy stays then.
    """
    at = services.clock.now()
    before: list[Strategy] = []

    def change(current: Project) -> Project:
        before[:] = [current.strategy]
        return switched(current, name, params or {}, at)

    chosen = services.projects.edit(project, change).strategy
    if [chosen] != before:
        services.jobs.submit(jobs.cycle(project, "strategy switched"))
    return chosen


def switched(current: Project, name: str | None, params: Mapping[str, Any], at: float) -> Project:
    """The project after the switch, all of it; see `switch`."""
    chosen = checked(current.config, current.strategy.name if name is None else name, params)
    made = current
    if name is not None:
        is_preset = name != chosen.name
        made = _settings(current, preset(name)) if is_preset else _given_back(current)
        made = replace(made, preset=name if is_preset else None)
    if chosen != current.strategy:
        made = replace(made, strategy=chosen, strategy_changed_at=at)
    return made


def _settings(current: Project, asked: Preset) -> Project:
    """With the settings that a preset takes over; what they were is kept, for the way back."""
    before = {name: getattr(current, name) for name, item in SETTINGS.items() if item.preset}
    mode: RenewalMode = "auto" if asked.renew or asked.calibrate else "off"
    return replace(current, renewal=mode, calibrate=asked.calibrate, before_preset={**before, **current.before_preset})


def _given_back(current: Project) -> Project:
    """With the settings that a preset took over as they were before.

    What a person set after the preset is not among `before_preset` (see `tuning.apply`), and stays.
    """
    return replace(current, **current.before_preset, before_preset={})


def checked(config: LabelConfig, name: str, params: Mapping[str, Any]) -> Strategy:
    """The strategy if it exists, takes these parameters and suits the project's label config."""
    if not isinstance(name, str) or not isinstance(params, Mapping):
        raise BadSetting("a strategy is a name and an object of parameters")
    name = preset(name).strategy.name
    try:
        entry = selection.entry(name)
        selector = selection.create(name, **params)
        if config.target.kind == "set":
            require_form(selector, "set")
    except selection.SelectionError as error:
        raise BadSetting(str(error)) from error
    if "probs" in entry.needs and config.image_key and not config.learnt:  # no key: not read yet
        raise BadSetting(f"{name} needs class probabilities, and here {config.problem}")
    return Strategy(name, dict(params))

"""Switch a project's selector at run time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import selection
from backend.core import jobs
from backend.core.domain import LabelConfig, Project, Strategy
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

    def change(current: Project) -> dict[str, Any]:
        before[:] = [current.strategy]
        return _fields(current, name, params or {}, at)

    chosen = services.projects.edit(project, change).strategy
    if [chosen] != before:
        services.jobs.submit(jobs.cycle(project, "strategy switched"))
    return chosen


def _fields(current: Project, name: str | None, params: Mapping[str, Any], at: float) -> dict[str, Any]:
    """All that the switch sets."""
    chosen = checked(current.config, current.strategy.name if name is None else name, params)
    fields: dict[str, Any] = {}
    if name is not None:
        is_preset = name != chosen.name
        fields = {"preset": name if is_preset else None, **_settings(current, preset(name), is_preset=is_preset)}
    if chosen != current.strategy:
        fields |= {"strategy": chosen, "strategy_changed_at": at}
    return fields


def _settings(current: Project, asked: Preset, *, is_preset: bool) -> dict[str, Any]:
    """What changes in the settings: a preset takes some over, a plain selector gives back what a preset took.

    What a person set after the preset is not among `before_preset` (see `tuning.apply`), and stays.
    """
    taken = current.before_preset
    if not is_preset:
        return {**taken, "before_preset": {}}
    before = {"renewal": current.renewal, "calibrate": current.calibrate, **taken}
    mode = "auto" if asked.renew or asked.calibrate else "off"
    return {"renewal": mode, "calibrate": asked.calibrate, "before_preset": before}


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

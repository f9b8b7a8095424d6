"""Change the settings of a project, whoever asks: extra params, `labelqueue set`, our API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from backend.core import jobs
from backend.core.domain import SETTINGS, LabelConfig, Project
from backend.core.domain.setting_kinds import shown
from backend.core.errors import BadSetting
from backend.core.services import Services


def checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """The values brought to their types. Raises `BadSetting` for an unknown name or a value out of range."""
    unknown = sorted(set(given) - set(SETTINGS))
    if unknown:
        raise BadSetting(f"unknown setting {', '.join(map(shown, unknown[:3]))}; known: {', '.join(sorted(SETTINGS))}")
    return {name: SETTINGS[name].kind.read(name, value) for name, value in given.items()}


def change(services: Services, project: Project, given: Mapping[str, Any]) -> dict[str, Any]:
    """Set what is given, all of it or (on `BadSetting`) nothing; returns all settings as they are then.

    They act from the next learning round; the workers notice by themselves when a change makes one due.
    """
    apply(services, project, checked(given))
    return current(services.projects.get(project.id))


def apply(services: Services, project: Project, found: Mapping[str, Any]) -> None:
    """Set values that are checked already; a preset that had set one of them will not take it back.

    Another tag to learn from makes the next look read all annotations anew. Raises `BadSetting` for one that the label
    config does not have or that cannot be learnt from.
    """
    if not found:
        return
    check_tag(project.config, found)

    def change(now: Project) -> Project:
        taken = {name: value for name, value in now.before_preset.items() if name not in found}
        return replace(now, **found, before_preset=taken)

    services.projects.edit(project.id, change)
    if found.get("audit_share", project.audit_share) != project.audit_share:
        services.tasks.forget_draw(project.id)  # before the first label a new draw is as fair as the first
    if found.get("learn_from", project.learn_from) != project.learn_from:
        services.jobs.submit(jobs.reconcile(project.id))


def check_tag(config: LabelConfig, given: Mapping[str, Any]) -> None:
    """Raises `BadSetting` if the tag to learn from, among these settings, is not there or cannot be learnt from.

    A config that was not read yet (no image) takes any: the look that reads it tells what is wrong with it.
    """
    tag = SETTINGS["learn_from"].kind.read("learn_from", given.get("learn_from"))
    if not tag or config.image_key is None:
        return
    if tag not in config.tags:
        raise BadSetting(
            f"learn_from: the label config has no tag {shown(tag)}; it has: {', '.join(config.tags) or 'none'}"
        )
    why = dict(config.left_out).get(tag, "")
    if why:
        raise BadSetting(f"learn_from: nothing can be learnt from {tag!r}: {why}")


def current(project: Project) -> dict[str, Any]:
    """The project's settings by name; None stands for the default."""
    return {name: getattr(project, name) for name in SETTINGS}


def as_text(value: object) -> str:
    """The value of a setting as `labelqueue set` takes it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return "default" if value in (None, "") else str(value)

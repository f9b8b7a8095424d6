"""The settings of a project that people may change, checked in one place: extra params, `labelqueue set`, our API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from math import isfinite
from typing import Any, get_args

from backend.core import jobs
from backend.core.domain import LabelConfig, Project, RenewalMode
from backend.core.errors import BadSetting
from backend.core.services import Services

MOST = 1_000_000_000
MOST_AUDIT = 0.5
LONGEST_TAG = 1000
DEFAULT = (None, "default")
SWITCH = {"on": True, "off": False}


def _number(name: str, value: Any, kind: type[int] | type[float]) -> Any:
    with suppress(TypeError, ValueError, OverflowError):
        number = kind(value)
        exact = kind is float or not isinstance(value, float) or number == value
        if (
            not isinstance(value, bool)
            and isfinite(number)
            and exact
            and (number > 0 or (kind is float and not number))
        ):
            if number > MOST:
                raise BadSetting(f"{name} must be at most {MOST:,}, got {value!r}")
            return number
    what = "whole number" if kind is int and isinstance(value, float) else "number"
    raise BadSetting(f"{name} must be a positive {what}, got {value!r}")


def _count(name: str, value: Any) -> Any:
    return _number(name, value, int)


def _seconds(name: str, value: Any) -> Any:
    return _number(name, value, float)


def _count_or_default(name: str, value: Any) -> Any:
    return None if value in DEFAULT else _count(name, value)


def _switch(name: str, value: Any) -> bool:
    if isinstance(value, str):
        value = SWITCH.get(value, value)
    if isinstance(value, bool):
        return value
    raise BadSetting(f"{name} must be true or false, got {value!r}")


def _share(name: str, value: Any) -> float:
    with suppress(TypeError, ValueError, OverflowError):
        share = float(value)
        if not isinstance(value, bool) and 0 <= share <= MOST_AUDIT:
            return share
    raise BadSetting(f"{name} must be a share from 0 (switched off) to {MOST_AUDIT}, got {value!r}")


def _mode(name: str, value: Any) -> str | None:
    if value in DEFAULT:
        return None
    if isinstance(value, str) and value in get_args(RenewalMode):
        return value
    raise BadSetting(f"{name} must be one of {', '.join(get_args(RenewalMode))}, default; got {value!r}")


def _tag(name: str, value: Any) -> str:
    if value in DEFAULT:
        return ""
    if isinstance(value, str) and len(value) <= LONGEST_TAG:
        return value
    raise BadSetting(f"{name} must be the name of a tag in the label config, or default; got {str(value)[:100]!r}")


SETTINGS: Mapping[str, Callable[[str, Any], Any]] = {
    "batch_size": _count,
    "min_interval": _seconds,
    "head_size": _count_or_default,
    "preannotate": _switch,
    "audit_share": _share,
    "renewal": _mode,
    "calibrate": _switch,
    "learn_from": _tag,
}
"""Name of the project's field -> what brings a given value to its type, or raises `BadSetting`."""


def checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """The values brought to their types. Raises `BadSetting` for an unknown name or a value out of range."""
    unknown = sorted(set(given) - set(SETTINGS))
    if unknown:
        raise BadSetting(f"unknown setting {', '.join(unknown)}; known: {', '.join(sorted(SETTINGS))}")
    return {name: SETTINGS[name](name, value) for name, value in given.items()}


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

    def change(now: Project) -> dict[str, Any]:
        taken = {name: value for name, value in now.before_preset.items() if name not in found}
        return {**found, "before_preset": taken}

    services.projects.edit(project.id, change)
    if found.get("audit_share", project.audit_share) != project.audit_share:
        services.tasks.forget_draw(project.id)  # before the first label a new draw is as fair as the first
    if found.get("learn_from", project.learn_from) != project.learn_from:
        services.jobs.submit(jobs.reconcile(project.id))


def check_tag(config: LabelConfig, given: Mapping[str, Any]) -> None:
    """Raises `BadSetting` if the tag to learn from, among these settings, is not there or cannot be learnt from.

    A config that was not read yet (no image) takes any: the look that reads it tells what is wrong with it.
    """
    tag = _tag("learn_from", given.get("learn_from"))
    if not tag or config.image_key is None:
        return
    if tag not in config.tags:
        raise BadSetting(f"learn_from: the label config has no tag {tag!r}; it has: {', '.join(config.tags) or 'none'}")
    why = dict(config.left_out).get(tag, "")
    if why:
        raise BadSetting(f"learn_from: nothing can be learnt from {tag!r}: {why}")


def current(project: Project) -> dict[str, Any]:
    """The project's settings by name; None stands for the default."""
    return {name: getattr(project, name) for name in SETTINGS}

"""A Label Studio project says hello (/setup): remember it, and take over its extra params when they changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from backend.core import strategy, tuning
from backend.core.domain import LabelConfig, Project, Strategy
from backend.core.errors import BadSetting, LabelQueueError, UnknownProject
from backend.core.json_text import BadJson, parse
from backend.core.services import Services
from backend.core.tuning import SETTINGS

TITLE = "LabelQueue"
"""Our name in Label Studio, and the model_version before the first ranking is live."""

UNREAD = LabelConfig(None, None, None, (), False, "the label config has not been read yet")


def register(services: Services, key: str, label_config: str, extra_params: Any = None, title: str = "") -> str:
    """Answer /setup: the model_version that Label Studio should show.

    key is "<ls id>.<created>" as Label Studio sends it. Extra params (None, a JSON text or an object; keys
    `strategy`, `params` and those of `tuning.SETTINGS`) act when they differ from those seen last,
    so that a page load does not undo a switch made elsewhere. Raises `BadSetting`; then nothing is changed.
    """
    number = key.split(".", 1)[0]
    if not number.isdigit():
        raise BadSetting(f"project {key!r} is not of the form <id>.<created>")
    extra = parse_extra(extra_params)
    known = _known(services, int(number), key)
    _checked(known.config if known else UNREAD, known.strategy if known else Strategy(), extra)
    project = known
    if project is None:
        project = enroll(services, int(number), key, title=title, label_config=label_config, config=UNREAD)
    take_extra(services, project, extra)
    if known is None or project.label_config != label_config:
        services.jobs.submit("sync", key=f"sync:{project.id}", urgent=True, project=project.id)
    return current_version(services, project)


def enroll(services: Services, ls_id: int, key: str, *, title: str, label_config: str, config: LabelConfig) -> Project:
    """Add the project, with this installation's defaults if it is new, or bring what Label Studio says up to date."""
    try:
        before = services.projects.by_ls_id(ls_id).id
    except UnknownProject:
        before = None
    project = services.projects.add(
        ls_id, key, title=title, label_config=label_config, config=config, at=services.clock.now()
    )
    if project.id == before:
        return project
    _clear(services, project)
    options = services.options
    services.projects.update(
        project.id,
        batch_size=options.batch_size,
        min_interval=options.min_interval,
        preannotate=options.preannotate,
    )
    return services.projects.get(project.id)


def _clear(services: Services, project: Project) -> None:
    """A database that was lost counts from 1 again: what the store holds under the new number is another project's."""
    try:
        services.features.clear(project.id, project.features_version)
        services.features.clear_guesses(project.id)
    except LabelQueueError:
        services.projects.remove(project.id)
        raise


def current_version(services: Services, project: Project) -> str:
    """The model_version under which answers to /predict stand in Label Studio now; see `Publication`."""
    live = services.rankings.live(project.id)
    return live.guesses_version if live else TITLE


def parse_extra(extra_params: Any) -> dict[str, Any]:
    """Label Studio's extra params as a dict: its page sends a text, its API may send an object."""
    if isinstance(extra_params, str):
        if not extra_params.strip():
            return {}
        try:
            extra_params = parse(extra_params, "the text of extra params")
        except BadJson as error:
            raise BadSetting(f'{error}; write e.g. {{"strategy": "typiclust"}}') from error
    if extra_params is None:
        return {}
    if not isinstance(extra_params, Mapping):
        raise BadSetting('extra params must be a JSON object, e.g. {"strategy": "typiclust"}')
    known = {"strategy", "params", *SETTINGS}
    unknown = sorted(set(extra_params) - known)
    if unknown:
        raise BadSetting(f"extra params: unknown {', '.join(unknown)}; known: {', '.join(sorted(known))}")
    return dict(extra_params)


def take_extra(services: Services, project: Project, extra: dict[str, Any]) -> None:
    """Apply extra params (see `parse_extra`) unless they were the last seen. On `BadSetting` nothing has changed."""
    canonical = json.dumps(extra, sort_keys=True) if extra else ""
    if canonical == project.extra_params:
        return
    chosen = _checked(project.config, project.strategy, extra)
    tuning.check_tag(project.config, extra)
    if "strategy" in extra or "params" in extra:
        strategy.switch(services, project.id, extra.get("strategy"), chosen.params)
    switched = services.projects.get(project.id)
    tuning.apply(services, switched, {name: extra[name] for name in SETTINGS if name in extra})
    services.projects.update(project.id, extra_params=canonical)


def _known(services: Services, ls_id: int, key: str) -> Project | None:
    try:
        project = services.projects.by_ls_id(ls_id)
    except UnknownProject:
        return None
    return project if project.key == key else None


def _checked(config: LabelConfig, current: Strategy, extra: dict[str, Any]) -> Strategy:
    """The strategy that the extra params ask for; brings the settings among them to their types. Changes nothing."""
    extra.update(tuning.checked({name: extra[name] for name in SETTINGS if name in extra}))
    params = extra.get("params", {} if "strategy" in extra else current.params)
    return strategy.checked(config, extra.get("strategy", current.name), params)

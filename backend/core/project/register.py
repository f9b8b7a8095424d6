"""A Label Studio project registers (/setup): take over its extra params when they changed.

Anyone who reaches our port can send this. So nothing here adds, replaces or removes a project: one that the database
does not know by exactly that key has to wait until a worker has asked Label Studio (see `enroll.meet`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import structlog

from backend.core import jobs
from backend.core.domain import SETTINGS, TITLE, LabelConfig, Project, Strategy, ls_id_of
from backend.core.errors import BadSetting, UnknownProject
from backend.core.project import strategy, tuning
from backend.core.queue.predict import current_version
from backend.core.services import Services
from backend.core.text.json_text import BadJson, parse

log = structlog.get_logger()

UNREAD = LabelConfig(None, problem="the label config has not been read yet")
MOST_CALLERS = 100  # unknown projects that wait or are remembered as none of ours; more are not heard
LONGEST_EXTRA = 10_000  # characters of extra params that are kept for one


def register(services: Services, key: str, label_config: str, extra_params: Any = None) -> str:
    """Answer /setup: the model_version that Label Studio should show.

    key is "<ls id>.<created>" as Label Studio sends it. Extra params (None, a JSON text or an object; keys
    `strategy`, `params` and those of `SETTINGS`) act when they differ from those seen last,
    so that a page load does not undo a switch made elsewhere. Raises `BadSetting`; then nothing is changed.
    """
    ls_id = ls_id_of(key)
    if ls_id is None:
        raise BadSetting(f"project {key[:40]!r} is not of the form <id>.<created>")
    extra = parse_extra(extra_params)
    project = _known(services, ls_id, key)
    if project is None:
        _chosen(UNREAD, Strategy(), extra)
        _knock(services, key, extra)
        return TITLE
    take_extra(services, project, extra)
    if project.label_config != label_config:
        services.jobs.submit(jobs.sync(project.id).at_once)
    return current_version(services, project)


def parse_extra(extra_params: Any) -> dict[str, Any]:
    """Label Studio's extra params as a dict: its page sends a text, its API may send an object.

    Settings among them have their types then, so that "10" and 10 are the same.
    """
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
    return dict(extra_params) | tuning.checked({name: extra_params[name] for name in SETTINGS if name in extra_params})


def take_extra(services: Services, project: Project, extra: Mapping[str, Any]) -> None:
    """Apply extra params (see `parse_extra`) unless they were the last seen. On `BadSetting` nothing has changed."""
    chosen = _chosen(project.config, project.strategy, extra)
    if _canonical(extra) == _last_seen(project):
        return
    tuning.check_tag(project.config, extra)
    if "strategy" in extra or "params" in extra:
        strategy.switch(services, project.id, extra.get("strategy"), chosen.params)
    switched = services.projects.get(project.id)
    tuning.apply(services, switched, {name: extra[name] for name in SETTINGS if name in extra})
    services.projects.edit(project.id, lambda now: replace(now, extra_params=_canonical(extra)))


def _known(services: Services, ls_id: int, key: str) -> Project | None:
    try:
        project = services.projects.by_ls_id(ls_id)
    except UnknownProject:
        return None
    return project if project.key == key else None


def _knock(services: Services, key: str, extra: Mapping[str, Any]) -> None:
    if len(_canonical(extra)) > LONGEST_EXTRA:
        raise BadSetting(f"extra params have more than {LONGEST_EXTRA} characters")
    heard = services.jobs.knock(key, extra, most=MOST_CALLERS)
    if heard == "kept":
        services.jobs.submit(jobs.meet())
    elif heard == "full" and services.jobs.hit("crowd", 60.0):
        log.warning("too many unknown projects call /setup; connect yours with `labelqueue connect`", most=MOST_CALLERS)


def _canonical(extra: Mapping[str, Any]) -> str:
    """Equal texts for extra params that ask for the same: a strategy without params means its defaults."""
    whole = {"params": {}, **extra} if "strategy" in extra else dict(extra)
    return json.dumps(whole, sort_keys=True) if whole else ""


def _last_seen(project: Project) -> str:
    """The extra params seen last; older versions kept some as they were typed."""
    with suppress(BadSetting):
        return _canonical(parse_extra(project.extra_params))
    return project.extra_params


def _chosen(config: LabelConfig, current: Strategy, extra: Mapping[str, Any]) -> Strategy:
    """The strategy that the extra params ask for. Raises `BadSetting`."""
    params = extra.get("params", {} if "strategy" in extra else current.params)
    return strategy.checked(config, extra.get("strategy", current.name), params)

"""Who is a project of ours is Label Studio's word: `enroll` takes its answer, `meet` asks it about those who knocked.

Only workers and the command line come here, never a request: see `backend.core.project.register`.
"""

from __future__ import annotations

from typing import Any, Literal

import structlog

from backend.core import jobs
from backend.core.domain import Caller, LabelConfig, Project, RemoteProject, is_another, ls_id_of
from backend.core.errors import BadSetting, LabelStudioRefused, UnknownProject
from backend.core.project.register import take_extra
from backend.core.services import Services

log = structlog.get_logger()

PATIENCE = 300.0  # seconds in which Label Studio may still save the backend row whose /setup came first
MEMORY = 300.0  # seconds for which a project that Label Studio does not have is not asked for again


def enroll(services: Services, remote: RemoteProject, config: LabelConfig) -> Project:
    """Add the project, or bring what Label Studio says of it up to date.

    Another creation stamp than ours means that the id was used again: the old project goes with all that was kept of
    it, and a fresh one begins. New ones get this installation's defaults.
    """
    settings = services.options.new_projects
    shown: dict[str, Any] = {"title": remote.title, "label_config": remote.label_config, "config": config}
    try:
        old = services.projects.by_ls_id(remote.ls_id)
    except UnknownProject:
        old = None
    now = services.clock.now()
    if old is None or not is_another(old.key, remote.key):
        return services.projects.add(remote.ls_id, remote.key, **shown, at=now, settings=settings)
    log.warning("Label Studio reuses the id for a new project: starting afresh", project=old.id, key=remote.key)
    clear_features(services, old)
    return services.projects.replace(old.id, remote.key, **shown, at=now, settings=settings)


def clear_features(services: Services, project: Project) -> None:
    """Delete all vectors and guesses of a project that goes."""
    for item in services.feature_sets.list(project.id):
        services.features.clear(project.id, item.version)
    services.features.clear_guesses(project.id)


def meet(services: Services) -> None:
    """Ask Label Studio about each unknown project that called /setup; those that it lists us for are enrolled.

    Cost: one request a caller (two for those that exist), rarer the longer one waits. Raises `LabelStudioError`, after
    all have had their turn unless Label Studio is down; whoever was not answered is asked for again.
    """
    failed: LabelStudioRefused | None = None
    for caller in services.jobs.callers():
        age = services.clock.now() - caller.at
        if not services.jobs.hit(f"meet:{caller.key}", max(1.0, age / 4)):
            continue
        try:
            found = _ask(services, caller)
        except LabelStudioRefused as error:
            failed, found = error, "later"
        if found == "ours":
            services.jobs.settle(caller.key, 0.0)
        elif found == "stranger":
            services.jobs.settle(caller.key, MEMORY)
        elif age > PATIENCE:
            log.info(
                "an unknown project called /setup, but in Label Studio we are not among its models", key=caller.key
            )
            services.jobs.settle(caller.key, 0.0)
    if failed is not None:
        raise failed


def _ask(services: Services, caller: Caller) -> Literal["ours", "stranger", "later"]:
    """Enroll the caller if Label Studio has it by that key and lists us, or one who may be us, among its models."""
    ls_id = ls_id_of(caller.key)
    if ls_id is None:
        return "stranger"
    try:
        remote = services.label_studio.project(ls_id)
    except LabelStudioRefused as error:
        if error.status != 404:
            raise
        return "stranger"
    if is_another(caller.key, remote.key):
        return "stranger"
    rows = services.label_studio.backends(ls_id)
    if all(services.addresses.ours(row.url) is False for row in rows):
        return "later"
    project = enroll(
        services,
        remote,
        services.label_studio.parse_config(remote.label_config, str(caller.extra.get("learn_from", ""))),
    )
    try:
        if caller.key == remote.key:
            take_extra(services, project, caller.extra)
    except BadSetting as error:  # it does not suit the label config, which the web process had not read
        log.warning("extra params are not taken", project=project.id, why=str(error))
    services.jobs.submit(jobs.sync(project.id).at_once)
    return "ours"

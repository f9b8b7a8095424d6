"""Connect a Label Studio project from our side, all of it: checks, backend row, webhook with our secret, first sync.

Every step can be done twice: a second `connect` adds what is missing and leaves the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.core import jobs
from backend.core.domain import TITLE, LabelConfig, Project, RemoteBackend, RemoteProject
from backend.core.errors import LabelStudioRefused, UnknownProject, UserError
from backend.core.project import tuning, wording
from backend.core.project.enroll import clear_features, enroll
from backend.core.project.ourselves import CONNECTED, carries_secret, ensure_webhook, is_our_row, our_hooks
from backend.core.project.register import parse_extra, take_extra
from backend.core.services import Services


@dataclass(frozen=True, slots=True)
class Connected:
    """What was done (or found done), and what the person should know."""

    project: Project
    backend: RemoteBackend
    notes: tuple[str, ...]


def connect(
    services: Services, ls_id: int, url: str | None = None, *, extra_params: Mapping[str, Any] | None = None
) -> Connected:
    """Register project `ls_id` with Label Studio under our address `url`.

    Without one, a row of ours that Label Studio reaches stays as it is, and a new one gets the public address.

    Label Studio calls our /health and /setup itself meanwhile, so the web process must run. Raises `UserError` for a
    project that cannot work, `LabelStudioError` with the cure when Label Studio refuses, `QueueDown`. The queue's
    sampling is set when the first ranking is published: before that there is nothing to serve.
    """
    extra = parse_extra(dict(extra_params or {}))
    services.jobs.ping()
    services.label_studio.server()
    remote = services.label_studio.project(ls_id)
    config = services.label_studio.parse_config(remote.label_config, _asked(services, ls_id, extra))
    notes = _judge(remote, config)
    backend, more = _ensure_backend(services, ls_id, url, extra)
    _ensure_webhook(services, ls_id, backend.url.rstrip("/"))
    project = enroll(services, remote, config)
    if extra:  # in case /setup did not come through to this database
        take_extra(services, project, extra)
    services.jobs.submit(jobs.sync(project.id).at_once)
    return Connected(services.projects.get(project.id), backend, (*notes, *more))


def _asked(services: Services, ls_id: int, extra: Mapping[str, Any]) -> str:
    """The tag that the project is to learn from; "": the first that can be learnt from."""
    if "learn_from" in extra:
        return str(tuning.checked({"learn_from": extra["learn_from"]})["learn_from"])
    try:
        return services.projects.by_ls_id(ls_id).learn_from
    except UnknownProject:
        return ""


def _judge(remote: RemoteProject, config: LabelConfig) -> list[str]:
    """Notes about a project that works; raises `UserError` for one that cannot."""
    if config.image_key is None:
        why = config.problem or "its label config has no Image tag"
        raise UserError(f"project {remote.ls_id} ({remote.title}) cannot be queued by image: {why}")
    if config.asked and config.asked not in config.tags:
        raise UserError(f"project {remote.ls_id} ({remote.title}): {config.problem}")
    notes = wording.reads(config)
    if not config.learnt:
        why = config.problem or "nothing in its label config can be learnt from"
        notes.append(f"only strategies that need no class probabilities work here: {why}")
    if not remote.tasks:
        notes.append("the project has no tasks yet; they are embedded as they are imported")
    return notes


def _ensure_backend(
    services: Services, ls_id: int, url: str | None, extra: Mapping[str, Any]
) -> tuple[RemoteBackend, list[str]]:
    """Our one row, connected; stale rows of ours are removed, others' are named."""
    wanted = (url or services.options.public_url).rstrip("/")
    rows = services.label_studio.backends(ls_id)
    answers = {row.id: services.addresses.ours(row.url) for row in rows}
    here = [row for row in rows if row.url.rstrip("/") == wanted]
    certain = [row for row in rows if url is None and answers[row.id]]
    good = next((row for row in [*here, *certain] if row.state == CONNECTED), None)
    others = [row for row in rows if row not in here and not is_our_row(services, row, answers[row.id])]
    for row in rows:
        if row is not good and row not in others:
            services.label_studio.delete_backend(row.id)
    notes = [
        f"the project has another backend, {row.title} at {row.url}: Label Studio asks only the first one for"
        " predictions; the queue is ours all the same"
        for row in others
    ]
    if good is None:
        auth = services.options.basic_auth
        good = services.label_studio.add_backend(ls_id, wanted, TITLE, auth=auth, extra_params=extra)
    return good, notes


def _ensure_webhook(services: Services, ls_id: int, address: str) -> None:
    """One webhook at the address of our row; those that we left at other addresses, with our secret, go."""
    kept = ensure_webhook(services, ls_id, address)
    for hook in services.label_studio.webhooks(ls_id):
        if hook.id != kept.id and carries_secret(services, hook):
            services.label_studio.delete_webhook(hook.id)


def disconnect(services: Services, ls_id: int) -> list[str]:
    """Remove our backend row and webhook from Label Studio, and all that we keep of the project. Returns what was done.

    Labels stay where they are: in Label Studio. What we kept must go too, else the reconciler would take the project
    up again. Features are made anew if it is connected once more. Raises `LabelStudioDown`; then nothing is forgotten.
    """
    done = []
    try:
        for row in services.label_studio.backends(ls_id):
            if is_our_row(services, row, services.addresses.ours(row.url)):
                services.label_studio.delete_backend(row.id)
                done.append(f"removed backend {row.url}")
        for hook in our_hooks(services, services.label_studio.webhooks(ls_id)):
            services.label_studio.delete_webhook(hook.id)
            done.append(f"removed webhook {hook.url}")
    except LabelStudioRefused as error:
        if error.status != 404:
            raise
        done.append("the project is gone from Label Studio")
    try:
        project = services.projects.by_ls_id(ls_id)
    except UnknownProject:
        if not done:
            raise
        return done
    clear_features(services, project)
    services.projects.remove(project.id)
    return [*done, "removed what LabelQueue kept of it; labels stay in Label Studio"]

"""Look at everything a working installation needs; say what is wrong and how to fix it. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from backend.core.domain import Project, Publication, RemoteProject, WorkerView
from backend.core.errors import LabelQueueError, LabelStudioError, UnknownProject
from backend.core.json_values import JSON
from backend.core.project import wording
from backend.core.project.ourselves import CONNECTED, base_of, carries_secret, is_our_row, our_hooks
from backend.core.project.status import healed
from backend.core.queue.heal import damage
from backend.core.queue.publish import serves
from backend.core.services import Services
from backend.core.text.masking import mask_text

Level = Literal["ok", "warn", "fail"]
BOTH = "start Label Studio with ML_BLOCK_LOCAL_IP=false and SSRF_PROTECTION_ENABLED=false (both are needed)"
MOST_GONE = 10
RECENT = 86_400.0  # seconds for which a repair is worth a warning
BLOCKED = ("reserved network address", "reserved ip", "local ip", "ssrf")


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact; `cure` says what to do unless it is ok."""

    level: Level
    what: str
    cure: str = ""

    def to_json(self) -> dict[str, JSON]:
        return asdict(self)

    def masked(self) -> Finding:
        """Without the secrets of addresses that errors named."""
        return Finding(self.level, mask_text(self.what), mask_text(self.cure))


def told(error: LabelQueueError | str, before: str = "", cure: str = "") -> Finding:
    """An error as a finding: its text ends with what to do, behind a semicolon; `cure` is for texts that do not."""
    fact, _, own = str(error).rpartition("; ")
    return Finding("fail", before + fact, own) if fact else Finding("fail", before + own, cure)


def diagnose(
    services: Services,
    ls_ids: list[int] | None = None,
    *,
    reach: Callable[[str], str],
    storage: Callable[[], str] = str,
    stored: str = "can be written",
) -> list[Finding]:
    """All findings: the installation, then each project of `ls_ids` (default: the connected ones).

    `reach(url)` returns why our web process does not answer there, or ""; `storage()` why the feature store cannot be
    used and, behind a semicolon, what to do, or "", and then it is `stored`. Nothing here raises for what is wrong
    outside: that is what the findings are for.
    """
    found = [*_parts(services, reach, storage, stored)]
    try:
        known = {project.ls_id: project for project in services.projects.all()}
    except LabelQueueError as error:
        return [*found, told(error)]
    found.append(Finding("ok", f"the database answers; {len(known)} project(s) connected"))
    server = list(_server(services))
    found += server
    if any(item.level == "fail" for item in server):
        return found
    for ls_id in ls_ids if ls_ids is not None else sorted(known):
        found += _project(services, ls_id, known.get(ls_id))
    if ls_ids is None and not known:
        found.append(Finding("warn", "no project is connected", "run: labelqueue connect PROJECT"))
    return found


def _parts(
    services: Services, reach: Callable[[str], str], storage: Callable[[], str], stored: str
) -> Iterator[Finding]:
    """Redis, workers, feature store, web process."""
    try:
        services.jobs.ping()
        workers = services.jobs.workers()
    except LabelQueueError as error:
        yield told(error, cure="run `labelqueue up`, or correct REDIS_URL")
    else:
        yield Finding("ok", "Redis answers")
        if workers:
            yield Finding("ok", f"{len(workers)} worker{'s' if len(workers) > 1 else ''} on {_devices(workers)}")
        else:
            yield Finding("fail", "no worker runs: nothing is embedded or ranked", "run `labelqueue worker`")
    trouble = storage()
    if trouble:
        yield told(trouble, "the feature store cannot be used: ", "correct STORAGE_URL or its permissions")
    else:
        yield Finding("ok", f"the feature store {stored}")
    url = services.options.public_url
    trouble = reach(f"{url}/health")
    if trouble:
        cure = "run `labelqueue serve`, or correct PUBLIC_URL"
        yield Finding("fail", f"our web process does not answer at {url}: {trouble}", cure)
    elif services.addresses.ours(url) is False:
        cure = "stop it, or correct PUBLIC_URL (our own address) or DATABASE_URL (what both must share)"
        yield Finding("fail", f"another installation of LabelQueue answers at {url}", cure)
    else:
        yield Finding("ok", f"the web process answers at {url}")


def _devices(workers: Sequence[WorkerView]) -> str:
    return ", ".join(sorted({worker.device or "cpu" for worker in workers}))


def _server(services: Services) -> Iterator[Finding]:
    try:
        server = services.label_studio.server()
    except LabelStudioError as error:
        yield told(error)
        return
    yield Finding("ok", f"Label Studio {server.version} answers; the token ({server.token}) is {server.user}'s")


def _project(services: Services, ls_id: int, project: Project | None) -> list[Finding]:
    name = f"project {ls_id}"
    try:
        remote = services.label_studio.project(ls_id)
        found = [*_config(services, name, remote, project), *_connection(services, name, ls_id)]
    except LabelStudioError as error:
        return [told(error, f"{name}: ", "check the id with `labelqueue status`; is it deleted?")]
    if project is None:
        return [*found, Finding("fail", f"{name}: {UnknownProject(ls_id)}", f"run: labelqueue connect {ls_id}")]
    return [*found, *_queue(services, name, project, remote), *_tasks(services, name, project)]


def _config(services: Services, name: str, remote: RemoteProject, project: Project | None) -> Iterator[Finding]:
    config = services.label_studio.parse_config(remote.label_config, project.learn_from if project else "")
    if config.image_key is None:
        why = config.problem or "there is no Image tag"
        yield Finding("fail", f"{name}: {why}", 'add <Image name="image" value="$image"/> to the label config')
    elif config.asked and config.asked not in config.tags:
        cure = f"run: labelqueue set {remote.ls_id} learn_from=TAG, or learn_from=default"
        yield Finding("fail", f"{name}: {config.problem}", cure)
    elif not config.learnt:
        why = config.problem or "nothing in the label config can be learnt from"
        cure = "add <Choices> with one choice per image, or use random, coreset or typiclust"
        yield Finding("warn", f"{name}: no class probabilities, so no margin or entropy: {why}", cure)
    else:
        classes = f"{len(config.classes)} classes of {config.target.tag!r}"
        yield Finding("ok", f"{name}: images under {config.image_key!r}, {classes}")
    yield from (Finding("ok", f"{name}: {told}") for told in wording.reads(config))


def _connection(services: Services, name: str, ls_id: int) -> Iterator[Finding]:
    """Backend row and webhook in Label Studio."""
    again = f"run: labelqueue connect {ls_id}"
    rows = [(row, services.addresses.ours(row.url)) for row in services.label_studio.backends(ls_id)]
    row = next((row for row, answer in rows if is_our_row(services, row, answer)), None)
    if row is None:
        silent = ", ".join(row.url for row, answer in rows if answer is None)
        cure = f"{again}; or is it us at {silent}, which does not answer from here? Then set PUBLIC_URL to that"
        yield Finding("fail", f"{name}: LabelQueue is not among its models in Label Studio", cure if silent else again)
        return
    url = row.url.rstrip("/")
    if row.state == CONNECTED:
        yield Finding("ok", f"{name}: Label Studio reaches us at {url}")
    elif any(sign in row.error.lower() for sign in BLOCKED):
        yield Finding("fail", f"{name}: Label Studio blocks the local address {url}", BOTH)
    else:
        why = row.error.strip().splitlines()[-1] if row.error.strip() else f"state {row.state}"
        yield Finding(
            "fail", f"{name}: Label Studio does not reach us at {url}: {why}", f"is PUBLIC_URL right? {again}"
        )
    listed = services.label_studio.webhooks(ls_id)
    hooks = [hook for hook in listed if base_of(hook) == url] or our_hooks(services, listed)
    if not hooks:
        yield Finding("fail", f"{name}: no webhook, so labels arrive late", f"{again}; if Label Studio refuses, {BOTH}")
    elif not any(carries_secret(services, hook) for hook in hooks):
        yield Finding("fail", f"{name}: the webhook lacks our secret header, so its events are refused", again)
    elif not any(hook.active for hook in hooks):
        yield Finding("fail", f"{name}: the webhook is switched off", "switch it on in Label Studio's settings")
    else:
        yield Finding("ok", f"{name}: the webhook is in place")


def _queue(services: Services, name: str, project: Project, remote: RemoteProject) -> Iterator[Finding]:
    live = services.rankings.live(project.id)
    if live is None:
        newest = services.rankings.publications(project.id, ("failed",))[:1]
        why = f": {newest[0].reason}" if newest else ""
        cure = "wait for the first ranking; `labelqueue status` shows how far it is"
        yield Finding("warn", f"{name}: no ranking is live yet{why}", cure)
    elif not serves(remote, live):
        fact = f"{name}: the queue is not ours: sampling {remote.sampling!r}, model version {remote.model_version!r}"
        yield Finding("fail", fact, "the next look sets it again; do not save Annotation settings from an old page")
    else:
        yield _whole(services, name, project, live)
    repaired = healed(services, project)
    if repaired is not None and services.clock.now() - repaired.at < RECENT:
        cure = "the queue is made of predictions: delete none of ours, and import none under the name of ours"
        yield Finding("warn", f"{name}: {wording.healed(repaired, services.clock.now())}", cure)


def _whole(services: Services, name: str, project: Project, live: Publication) -> Finding:
    try:
        wrong = damage(services, project, live)
    except LabelStudioError as error:
        return told(error, f"{name}: ", "see that Label Studio answers")
    if wrong:
        return Finding("fail", f"{name}: the order is damaged: {wrong}", "the next look publishes it again")
    return Finding("ok", f"{name}: Label Studio serves our order ({live.model_version})")


def _tasks(services: Services, name: str, project: Project) -> Iterator[Finding]:
    counts = services.tasks.counts(project.id)
    if counts.failed:
        cure = f"look: labelqueue tasks {project.ls_id} --failed; again: labelqueue tasks {project.ls_id} --retry"
        yield Finding("warn", f"{name}: {counts.failed} of {counts.tasks} images could not be embedded", cure)
    else:
        yield Finding("ok", f"{name}: {counts.embedded} of {counts.tasks} images embedded, none failed")
    gone = {label: count for label, count in counts.labels.items() if label not in project.config.classes}
    if gone and project.config.target.kind != "none":
        named = ", ".join(f"{label} ({count})" for label, count in list(gone.items())[:MOST_GONE])
        more = f" and {len(gone) - MOST_GONE} more" if len(gone) > MOST_GONE else ""
        cure = "name them in the label config again, or label these tasks anew; until then nothing is learnt from them"
        yield Finding("warn", f"{name}: labels of classes that the label config does not have: {named}{more}", cure)

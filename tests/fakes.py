"""One fake a port: in memory, with switches for what goes wrong. State is not faked (tests use SQLite)."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from backend.core.domain import (
    FeatureBatch,
    FeatureTable,
    Guess,
    Guesses,
    JobView,
    LabelConfig,
    Prediction,
    RemoteBackend,
    RemoteProject,
    RemoteTask,
    RemoteWebhook,
    Server,
    WorkerView,
)
from backend.core.errors import LabelQueueError, LabelStudioRefused, QueueDown

CONFIG = (
    '<View><Image name="image" value="$image"/><Choices name="choice" toName="image">'
    '<Choice value="cat"/><Choice value="dog"/></Choices></View>'
)


class FixedClock:
    """Stands still until told to `advance`."""

    def __init__(self, at: float = 1_700_000_000.0) -> None:
        self.at = at

    def now(self) -> float:
        return self.at

    def advance(self, seconds: float) -> None:
        self.at += seconds


class FakeJobs:
    """Keeps what was submitted; `down` makes every call raise, `finish()` forgets the keys that wait."""

    def __init__(self) -> None:
        self.down = False
        self.submitted: list[tuple[str, str, bool, dict[str, Any]]] = []  # name, key, urgent, arguments
        self.events: list[dict[str, Any]] = []
        self.views: list[JobView] = []
        self.alive: list[WorkerView] = []
        self.reported: list[tuple[int, int]] = []
        self._waiting: set[str] = set()
        self._hits: set[str] = set()

    def names(self) -> list[str]:
        return [name for name, *_ in self.submitted]

    def finish(self) -> None:
        self._waiting.clear()
        self._hits.clear()

    def submit(self, name: str, *, key: str, urgent: bool = False, **arguments: Any) -> bool:
        self.ping()
        if key in self._waiting:
            return False
        self._waiting.add(key)
        self.submitted.append((name, key, urgent, arguments))
        return True

    def push_event(self, event: Mapping[str, Any]) -> None:
        self.ping()
        self.events.append(dict(event))

    @contextmanager
    def take_events(self, limit: int) -> Iterator[list[dict[str, Any]]]:
        self.ping()
        taken = self.events[:limit]
        yield taken
        del self.events[: len(taken)]

    def backlog(self) -> int:
        self.ping()
        return len(self.events)

    def progress(self, done: int, total: int) -> None:
        self.reported.append((done, total))

    def jobs(self) -> list[JobView]:
        self.ping()
        return list(self.views)

    def workers(self) -> list[WorkerView]:
        self.ping()
        return list(self.alive)

    def ping(self) -> None:
        if self.down:
            raise QueueDown("Redis does not answer at redis://fake; start it")

    def hit(self, key: str, seconds: float) -> bool:
        self.ping()
        fresh = key not in self._hits
        self._hits.add(key)
        return fresh


class FakeFeatures:
    """Features and guesses in dicts; `append` of a task that is there replaces its vector."""

    def __init__(self) -> None:
        self.vectors: dict[tuple[int, int], dict[int, np.ndarray]] = {}
        self.guesses: dict[int, dict[int, Guess]] = {}
        self.appended: list[list[int]] = []

    def append(self, project: int, version: int, batch: FeatureBatch) -> None:
        kept = self.vectors.setdefault((project, version), {})
        kept.update(zip(batch.task_ids.tolist(), batch.vectors, strict=True))
        self.appended.append(batch.task_ids.tolist())

    def present(self, project: int, version: int, task_ids: Sequence[int]) -> set[int]:
        return set(task_ids) & set(self.vectors.get((project, version), {}))

    def load(self, project: int, version: int) -> FeatureTable:
        kept = self.vectors.get((project, version), {})
        ids = np.array(sorted(kept), dtype=np.int64)
        stacked = [kept[i] for i in ids.tolist()]
        return FeatureTable(ids, np.stack(stacked) if stacked else np.zeros((0, 0), np.float16))

    def remove(self, project: int, version: int, task_ids: Sequence[int]) -> None:
        for task in task_ids:
            self.vectors.get((project, version), {}).pop(task, None)

    def optimize(self, project: int, version: int) -> None:
        pass

    def write_guesses(self, project: int, guesses: Guesses) -> None:
        triples = zip(guesses.task_ids.tolist(), guesses.classes.tolist(), guesses.confidence.tolist(), strict=True)
        self.guesses[project] = {task: Guess(guesses.names[c], p) for task, c, p in triples}

    def read_guesses(self, project: int, task_ids: Sequence[int]) -> dict[int, Guess]:
        kept = self.guesses.get(project, {})
        return {task: kept[task] for task in task_ids if task in kept}


class FakeLabelStudio:
    """A Label Studio in memory. `broken` is raised by every call, `broken_at[method]` by one, `log` names the calls."""

    def __init__(self, at: float = 1_700_000_000.0) -> None:
        self.broken: LabelQueueError | None = None
        self.broken_at: dict[str, LabelQueueError] = {}
        self.row_despite_refusal = False  # add_backend: raise, but leave the row, as the SSRF guard does
        self.auto_webhook = True  # add_backend also registers a webhook without headers
        self.log: list[str] = []
        self.at = at
        self.seen: dict[int, RemoteProject] = {}
        self.remote_tasks: dict[int, dict[int, RemoteTask]] = {}
        self.imports: dict[int, dict[str, list[Prediction]]] = {}
        self.rows: dict[int, tuple[int, RemoteBackend]] = {}  # backend id -> (project, row)
        self.hooks: dict[int, tuple[int, RemoteWebhook]] = {}
        self.auths: list[tuple[str, str] | None] = []
        self.extras: list[Mapping[str, Any]] = []
        self.take: int | None = None  # import_predictions: how many are taken; None: all
        self._ids = itertools.count(1)

    def add_project(self, ls_id: int = 1, *, title: str = "Cats", label_config: str = CONFIG) -> RemoteProject:
        """Make a project."""
        made = RemoteProject(
            ls_id, f"{ls_id}.1700000000", title, label_config, "Sequential sampling", "", True, 0, 0, 0
        )
        self.seen[ls_id] = made
        self.remote_tasks[ls_id] = {}
        self.imports[ls_id] = {}
        return made

    def put(self, ls_id: int, *tasks: RemoteTask) -> None:
        """Add or replace tasks; the project's counts follow."""
        kept = self.remote_tasks[ls_id]
        kept.update({task.id: task for task in tasks})
        done = [a for task in kept.values() for a in task.annotations]
        self.seen[ls_id] = replace(
            self.seen[ls_id],
            tasks=len(kept),
            annotations=sum(not a.skipped for a in done),
            skips=sum(a.skipped for a in done),
        )

    def change(self, ls_id: int, **fields: Any) -> None:
        """Change a project as a person in its settings page would."""
        self.seen[ls_id] = replace(self.seen[ls_id], **fields)

    def _call(self, method: str) -> None:
        self.log.append(method)
        for error in (self.broken, self.broken_at.get(method)):
            if error is not None:
                raise error

    def server(self) -> Server:
        self._call("server")
        return Server("1.23.2", "admin@example.org", "personal")

    def projects(self) -> list[RemoteProject]:
        self._call("projects")
        return list(self.seen.values())

    def project(self, ls_id: int) -> RemoteProject:
        self._call("project")
        if ls_id not in self.seen:
            raise LabelStudioRefused(404, f"Label Studio has no project {ls_id}")
        return self.seen[ls_id]

    def parse_config(self, label_config: str) -> LabelConfig:
        root = ElementTree.fromstring(label_config)
        image, choices = root.find(".//Image"), root.find(".//Choices")
        key = image.get("value", "").lstrip("$") if image is not None else None
        if choices is None:
            return LabelConfig(key, None, None, (), False, "there is no Choices tag")
        classes = tuple(c.get("value", "") for c in choices.iter("Choice"))
        single = choices.get("choice", "single") != "multiple"
        problem = "" if single else "a task may have several choices"
        return LabelConfig(key, choices.get("name"), choices.get("toName"), classes, single, problem)

    def tasks(self, ls_id: int, config: LabelConfig, *, since: float | None = None) -> Iterator[RemoteTask]:
        self._call("tasks")
        for task in sorted(self.remote_tasks[ls_id].values(), key=lambda t: t.id):
            if since is None or task.updated_at >= since:
                yield task

    def task_ids(self, ls_id: int) -> list[int]:
        self._call("task_ids")
        return sorted(self.remote_tasks[ls_id])

    def import_predictions(
        self, ls_id: int, config: LabelConfig, model_version: str, predictions: Sequence[Prediction]
    ) -> int:
        self._call("import_predictions")
        taken = list(predictions)[: self.take]
        self.imports[ls_id].setdefault(model_version, []).extend(taken)
        return len(taken)

    def set_queue(self, ls_id: int, model_version: str) -> None:
        self._call("set_queue")
        if model_version not in self.imports[ls_id]:
            raise LabelStudioRefused(400, f"no predictions of version {model_version}")
        self.change(ls_id, sampling="Uncertainty sampling", model_version=model_version)

    def served(self, ls_id: int) -> list[int]:
        """Task ids in the order that the queue would serve them now."""
        found = self.imports[ls_id].get(self.seen[ls_id].model_version, [])
        done = {task.id for task in self.remote_tasks[ls_id].values() if task.annotations}
        return [p.task_id for p in sorted(found, key=lambda p: p.score) if p.task_id not in done]

    def delete_version(self, ls_id: int, model_version: str) -> None:
        self._call("delete_version")
        self.imports[ls_id].pop(model_version, None)
        if self.seen[ls_id].model_version == model_version:
            self.change(ls_id, model_version="")

    def versions(self, ls_id: int) -> Mapping[str, int]:
        self._call("versions")
        return {version: len(found) for version, found in self.imports[ls_id].items()}

    def backends(self, ls_id: int) -> list[RemoteBackend]:
        self._call("backends")
        return [row for project, row in self.rows.values() if project == ls_id]

    def add_backend(
        self,
        ls_id: int,
        url: str,
        title: str,
        *,
        auth: tuple[str, str] | None,
        extra_params: Mapping[str, Any],
    ) -> RemoteBackend:
        row = RemoteBackend(next(self._ids), url, title, "CO", "")
        refusal = self.broken_at.get("add_backend")
        if refusal is None or self.row_despite_refusal:
            self.rows[row.id] = (ls_id, row)
        self._call("add_backend")
        self.auths.append(auth)
        self.extras.append(extra_params)
        self.change(ls_id, model_version=title)
        if self.auto_webhook and all(h.url != f"{url}/webhook" for h in self.webhooks(ls_id)):
            self.add_webhook(ls_id, f"{url}/webhook", {})
        return row

    def delete_backend(self, backend: int) -> None:
        self._call("delete_backend")
        del self.rows[backend]

    def webhooks(self, ls_id: int) -> list[RemoteWebhook]:
        self._call("webhooks")
        return [hook for project, hook in self.hooks.values() if project == ls_id]

    def add_webhook(self, ls_id: int, url: str, headers: Mapping[str, str]) -> RemoteWebhook:
        self._call("add_webhook")
        hook = RemoteWebhook(next(self._ids), url, dict(headers), True)
        self.hooks[hook.id] = (ls_id, hook)
        return hook

    def set_webhook_headers(self, webhook: int, headers: Mapping[str, str]) -> None:
        self._call("set_webhook_headers")
        project, hook = self.hooks[webhook]
        self.hooks[webhook] = (project, replace(hook, headers=dict(headers)))

    def delete_webhook(self, webhook: int) -> None:
        self._call("delete_webhook")
        del self.hooks[webhook]


def unused(*_: Any, **__: Any) -> Any:
    """An embedder that a test must not ask for."""
    raise AssertionError("this test has no embedder")

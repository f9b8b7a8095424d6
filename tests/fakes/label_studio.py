"""Label Studio in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from backend.core.domain import (
    Annotation,
    Guess,
    LabelConfig,
    Prediction,
    RemoteBackend,
    RemoteProject,
    RemoteTask,
    RemoteWebhook,
    Server,
    Target,
)
from backend.core.errors import LabelStudioDown, LabelStudioError, LabelStudioRefused
from backend.core.kinds.annotations import label_of
from backend.core.kinds.said import said

CONFIG = LabelConfig("image", Target("one", "choices", "digit", "img", ("zero", "one", "two"), suggests=True))


LABEL_CONFIG = (
    '<View><Image name="img" value="$image"/><Choices name="digit" toName="img" choice="single">'
    '<Choice value="zero"/><Choice value="one"/><Choice value="two"/></Choices></View>'
)


@dataclass
class FakeLabelStudio:
    """One Label Studio in memory; `down` makes every call fail, `fail_on` only the named ones (once each).

    `refuse[call]` is raised each time by that call. `at[call]` happens once, when that call arrives: another worker's
    work, say.
    """

    remote: dict[int, RemoteProject] = field(default_factory=dict)
    items: dict[int, dict[int, RemoteTask]] = field(default_factory=dict)
    predictions: dict[tuple[int, str], list[Prediction]] = field(default_factory=dict)
    hooks: dict[int, list[RemoteWebhook]] = field(default_factory=dict)
    rows: dict[int, list[RemoteBackend]] = field(default_factory=dict)
    config: LabelConfig = CONFIG
    down: bool = False
    fail_on: set[str] = field(default_factory=set)
    refuse: dict[str, LabelStudioError] = field(default_factory=dict)
    extras: list[Mapping[str, Any]] = field(default_factory=list)  # extra params of add_backend
    auths: list[tuple[str, str] | None] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    at: dict[str, Callable[[], object]] = field(default_factory=dict)
    ids: int = 0
    results: dict[int, Any] = field(default_factory=dict)  # of annotations that are read as the config says

    def add_project(self, ls_id: int = 5, tasks: int = 0, **fields: Any) -> None:
        self.remote[ls_id] = RemoteProject(
            ls_id, f"{ls_id}.1700000000", "Digits", LABEL_CONFIG, "Sequential sampling", "", 0
        )
        self.remote[ls_id] = replace(self.remote[ls_id], **fields)
        self.items[ls_id] = {}
        self.put(ls_id, [RemoteTask(number + 1, f"/data/upload/{number}.png", (), 10.0) for number in range(tasks)])

    def put(self, ls_id: int, tasks: Iterable[RemoteTask]) -> None:
        """Add or change tasks."""
        self.items[ls_id].update({task.id: task for task in tasks})
        self._count(ls_id)

    def drop(self, ls_id: int, ids: Iterable[int]) -> None:
        """Delete tasks; their predictions go with them."""
        gone = set(ids)
        self.move(ls_id, gone)
        self.delete_predictions(ls_id, gone)

    def move(self, ls_id: int, ids: Iterable[int]) -> None:
        """Move tasks to another project; as in Label Studio, their predictions stay counted here."""
        for number in ids:
            del self.items[ls_id][number]
        self._count(ls_id)

    def delete_predictions(self, ls_id: int, ids: Iterable[int] | None = None) -> None:
        """The Data Manager's action, for all tasks or some: sampling and model_version stay as they are."""
        for (project, version), found in list(self.predictions.items()):
            if project == ls_id:
                kept = [] if ids is None else [item for item in found if item.task_id not in set(ids)]
                self.predictions[project, version] = kept

    def annotate(self, ls_id: int, task: int, choice: str | None, at: float, *, skipped: bool = False) -> Annotation:
        self.ids += 1
        made = Annotation(self.ids, task, choice, skipped, at)
        old = self.items[ls_id][task]
        self.put(ls_id, [replace(old, annotations=(*old.annotations, made), updated_at=at)])
        return made

    def submit(self, ls_id: int, task: int, result: Any, at: float) -> None:
        """An annotation in the editor's format."""
        self.results[self.annotate(ls_id, task, None, at).id] = result

    def _read(self, task: RemoteTask, config: LabelConfig) -> RemoteTask:
        read = [
            replace(item, label=label_of(said(self.results[item.id]), config.target))
            if item.id in self.results
            else item
            for item in task.annotations
        ]
        return replace(task, annotations=tuple(read))

    def _count(self, ls_id: int) -> None:
        self.remote[ls_id] = replace(self.remote[ls_id], tasks=len(self.items[ls_id]))

    def _called(self, name: str) -> None:
        """A request arrives: what was planned `at` it happens first, once."""
        self.calls.append(name)
        if name in self.at:
            self.at.pop(name)()
        if self.down or name in self.fail_on:
            self.fail_on.discard(name)
            raise LabelStudioDown(f"Label Studio does not answer ({name})")
        if name in self.refuse:
            raise self.refuse[name]

    def server(self) -> Server:
        self._called("server")
        return Server("1.23.2", "admin@example.org", "personal")

    def project(self, ls_id: int) -> RemoteProject:
        self._called("project")
        if ls_id not in self.remote:
            raise LabelStudioRefused(404, f"Label Studio has no project {ls_id}")
        return self.remote[ls_id]

    def parse_config(self, label_config: str, learn_from: str = "") -> LabelConfig:
        return replace(self.config, asked=learn_from)

    def tasks(self, ls_id: int, config: LabelConfig, *, since: float | None = None) -> Iterator[RemoteTask]:
        self._called("tasks")
        found = sorted(self.items[ls_id].items())
        return iter([self._read(task, config) for _, task in found if since is None or task.updated_at >= since])

    def task_ids(self, ls_id: int, among: Sequence[int] | None = None) -> list[int]:
        self._called("task_ids")
        return sorted(task for task in self.items[ls_id] if among is None or task in among)

    def import_predictions(
        self, ls_id: int, config: LabelConfig, model_version: str, predictions: Sequence[Prediction]
    ) -> int:
        self._called("import_predictions")
        unknown = [p.task_id for p in predictions if p.task_id not in self.items[ls_id]]
        if unknown:
            raise LabelStudioRefused(400, f"task {unknown[0]} does not exist")
        known = set(self.config.classes)
        good = [p for p in predictions if 0 <= p.score <= 1 and known.issuperset(_named(p.guess))]
        self.predictions.setdefault((ls_id, model_version), []).extend(good)
        return len(good)

    def set_queue(self, ls_id: int, model_version: str) -> None:
        self._called("set_queue")
        if model_version != self.remote[ls_id].model_version and not self.predictions.get((ls_id, model_version)):
            raise LabelStudioRefused(400, f"model version {model_version} does not exist")
        self.remote[ls_id] = replace(self.remote[ls_id], sampling="Uncertainty sampling", model_version=model_version)

    def delete_version(self, ls_id: int, model_version: str) -> None:
        self._called("delete_version")
        self.predictions.pop((ls_id, model_version), None)
        if self.remote[ls_id].model_version == model_version:
            self.remote[ls_id] = replace(self.remote[ls_id], model_version="")

    def versions(self, ls_id: int) -> Mapping[str, int]:
        self._called("versions")
        counts = {version: len(found) for (project, version), found in self.predictions.items() if project == ls_id}
        named = self.remote[ls_id].model_version
        return {version: count for version, count in counts.items() if count} | (
            {named: counts.get(named, 0)} if named else {}
        )

    def backends(self, ls_id: int) -> list[RemoteBackend]:
        self._called("backends")
        return self.rows.get(ls_id, [])

    def add_backend(
        self, ls_id: int, url: str, title: str, *, auth: tuple[str, str] | None, extra_params: Mapping[str, Any]
    ) -> RemoteBackend:
        self._called("add_backend")
        self.ids += 1
        row = RemoteBackend(self.ids, url, title, "CO", "")
        self.rows.setdefault(ls_id, []).append(row)
        self.auths.append(auth)
        self.extras.append(extra_params)
        self.remote[ls_id] = replace(self.remote[ls_id], model_version=title)
        if all(hook.url != url.rstrip("/") + "/webhook" for hook in self.hooks.get(ls_id, [])):
            self.add_webhook(ls_id, url.rstrip("/") + "/webhook", {})
        return row

    def delete_backend(self, backend: int) -> None:
        self._called("delete_backend")
        self.rows = {ls_id: [row for row in rows if row.id != backend] for ls_id, rows in self.rows.items()}

    def webhooks(self, ls_id: int) -> list[RemoteWebhook]:
        self._called("webhooks")
        return self.hooks.get(ls_id, [])

    def add_webhook(self, ls_id: int, url: str, headers: Mapping[str, str]) -> RemoteWebhook:
        self.ids += 1
        hook = RemoteWebhook(self.ids, url, headers, True)
        self.hooks.setdefault(ls_id, []).append(hook)
        return hook

    def set_webhook_headers(self, webhook: int, headers: Mapping[str, str]) -> None:
        self._called("set_webhook_headers")
        for hooks in self.hooks.values():
            hooks[:] = [replace(hook, headers=headers) if hook.id == webhook else hook for hook in hooks]

    def delete_webhook(self, webhook: int) -> None:
        self._called("delete_webhook")
        for hooks in self.hooks.values():
            hooks[:] = [hook for hook in hooks if hook.id != webhook]


def _named(guess: Guess | None) -> tuple[str, ...]:
    if guess is None:
        return ()
    return (guess.choice,) if guess.present is None else guess.present

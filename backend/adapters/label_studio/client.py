"""Label Studio's API as the use cases need it. Facts below were measured on 1.23.2 with SQLite on 2 cores.

What a cheap look costs at 5,000-10,000 tasks: a project 60 ms, tasks changed since a time 70 ms, either independent of
the number of tasks. Submitting, changing, skipping and deleting an annotation, changing a task's data and importing
tasks all move the task's `updated_at`; importing or deleting predictions and changing the project do not. Deleted
tasks show only in `RemoteProject.tasks` and in `task_ids` (0.2 s per 1,000). A page of 1,000 tasks with their
annotations takes 0.5 s (1.1 s unless the fields are named).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from backend.adapters.label_studio.config import parse_config
from backend.adapters.label_studio.data import pages_of
from backend.adapters.label_studio.http import Answer, Api, Query
from backend.core.domain import (
    PLAIN,
    LabelConfig,
    Prediction,
    RemoteBackend,
    RemoteProject,
    RemoteTask,
    RemoteWebhook,
    Server,
)
from backend.core.errors import LabelStudioRefused
from backend.core.json_values import JSON
from backend.core.kinds.annotations import parse_annotation, parse_time
from backend.core.kinds.suggest import regions

PAGE = 1000  # tasks with annotations
ID_PAGE = 5000  # bare ids
ASKED_FOR = 200  # ids named in one request: they stand in its address, which servers cut at 4 kB
LONG = 900.0  # seconds for what costs Label Studio O(project): imports 1,500/s, deletions 150/s
PROJECT_FIELDS = "id,title,created_at,label_config,sampling,model_version,task_number"
# Label Studio applies `include` to the annotations within as well: theirs are `result` and `was_cancelled`
TASK_FIELDS = "id,data,updated_at,annotations,result,was_cancelled"


class ApiLabelStudio:
    """Implements `ports.LabelStudio` over HTTP with a legacy or personal access token. Safe to share by threads."""

    def __init__(self, url: str, token: str, *, timeout: float = 60.0) -> None:
        self._api = Api(url, token, timeout=timeout)

    def close(self) -> None:
        """Close the kept connections; the next call fails."""
        self._api.close()

    def auth_headers(self) -> dict[str, str]:
        """The Authorization header for requests to Label Studio outside this class (images); good for 30 s."""
        return self._api.auth.headers()

    def server(self) -> Server:
        version = self._api.get("/api/version", timeout=10)
        user = self._api.get("/api/current-user/whoami", timeout=10)
        return Server(str(version.get("release", "unknown")), str(user["email"]), self._api.auth.kind)

    def own_address(self) -> str:
        """The address that Label Studio gives itself (its LABEL_STUDIO_HOST), "" if none; 40 ms.

        It writes its own images into task data by it (synced local files, uploads to a cloud). No part of the API is
        there to tell it, but the pictures of the labeling templates begin with it.
        """
        for template in self._api.get("/api/templates/", timeout=10)["templates"]:
            host, found, _ = str(template.get("image") or "").partition("/static/")
            if found:
                return host
        return ""

    def project(self, ls_id: int) -> RemoteProject:
        """One project; 60 ms whatever its size."""
        return _project(self._api.get(f"/api/projects/{ls_id}/", {"include": PROJECT_FIELDS}))

    def parse_config(self, label_config: str, learn_from: str = "") -> LabelConfig:
        return parse_config(label_config, learn_from)

    def tasks(self, ls_id: int, config: LabelConfig, *, since: float | None = None) -> Iterator[RemoteTask]:
        """Tasks by ascending id, in pages that begin after the last id seen: tasks deleted meanwhile hide no other."""
        params = {"fields": "all", "include": TASK_FIELDS, "page_size": PAGE}
        for raw in self._pages(ls_id, params, since):
            annotations = tuple(
                parse_annotation({**item, "task": raw["id"]}, config.target) for item in raw["annotations"]
            )
            pages = pages_of(raw["data"], config.shown)
            image = pages.refs[0] if pages.refs else None
            plain = len(pages.refs) == 1 and not pages.note
            updated_at = parse_time(raw["updated_at"])
            yield RemoteTask(raw["id"], image, annotations, updated_at, PLAIN if plain else pages)

    def task_ids(self, ls_id: int, among: Sequence[int] | None = None) -> list[int]:
        params = {"fields": "task_only", "include": "id", "page_size": ID_PAGE}
        if among is None:
            return [raw["id"] for raw in self._pages(ls_id, params, None)]
        found: list[int] = []
        for start in range(0, len(among), ASKED_FOR):
            chosen = {"selectedItems": {"all": False, "included": list(among[start : start + ASKED_FOR])}}
            query = {"project": ls_id, "query": json.dumps(chosen), **params}
            found += [raw["id"] for raw in self._api.get("/api/tasks/", query, timeout=LONG)["tasks"]]
        return sorted(found)

    def _pages(self, ls_id: int, params: Query, since: float | None) -> Iterator[Answer]:
        after = 0
        while True:
            # resolve_uri=false: s3:// and the like stay as they are, not replaced by Label Studio's presign address
            query = {"project": ls_id, "resolve_uri": "false", "query": _query(after, since), **params}
            page = self._api.get("/api/tasks/", query, timeout=LONG)
            yield from page["tasks"]
            if len(page["tasks"]) >= page["total"]:
                return
            after = page["tasks"][-1]["id"]

    def import_predictions(
        self, ls_id: int, config: LabelConfig, model_version: str, predictions: Sequence[Prediction]
    ) -> int:
        """One request: Label Studio recounts the whole project for each. An unknown task refuses all (400)."""
        body = [
            {
                "task": item.task_id,
                "score": item.score,
                "model_version": model_version,
                "result": regions(config.target, item.guess),
            }
            for item in predictions
        ]
        answer = self._api.send("POST", f"/api/projects/{ls_id}/import/predictions", body, timeout=LONG)
        return int(answer["created"])

    def set_queue(self, ls_id: int, model_version: str) -> None:
        """Refused (400) if no prediction has that version.

        show_collab_predictions must never be sent along: a false one empties model_version in the same request.
        """
        body = {"sampling": "Uncertainty sampling", "model_version": model_version}
        self._api.send("PATCH", f"/api/projects/{ls_id}/", body)

    def versions(self, ls_id: int) -> Mapping[str, int]:
        answer = self._api.get(f"/api/projects/{ls_id}/model-versions/")
        return {str(version): int(count) for version, count in answer.items()}

    def delete_version(self, ls_id: int, model_version: str) -> None:
        """About 150 predictions a second; resets the project's model_version if it is this one."""
        body = {"model_version": model_version}
        self._api.send("DELETE", f"/api/projects/{ls_id}/model-versions/", body, timeout=LONG)

    def backends(self, ls_id: int) -> list[RemoteBackend]:
        """Label Studio asks each backend for /health and /setup before it answers: up to 3 s for one that is down."""
        return [_backend(raw) for raw in self._api.get("/api/ml/", {"project": ls_id})]

    def add_backend(
        self,
        ls_id: int,
        url: str,
        title: str,
        *,
        auth: tuple[str, str] | None,
        extra_params: Mapping[str, JSON],
    ) -> RemoteBackend:
        """Label Studio calls /health and /setup, makes a webhook `<url>/webhook` and sets model_version to `title`.

        When Label Studio refuses the webhook's address it leaves the backend behind: it is removed again here.
        """
        body = {
            "project": ls_id,
            "url": url,
            "title": title,
            "is_interactive": False,
            "extra_params": extra_params or None,
        }
        if auth:
            body |= {"auth_method": "BASIC_AUTH", "basic_auth_user": auth[0], "basic_auth_pass": auth[1]}
        before = {row.id for row in self.backends(ls_id)}
        try:
            return _backend(self._api.send("POST", "/api/ml/", body))
        except LabelStudioRefused:
            for row in self.backends(ls_id):
                if row.id not in before and row.url == url:
                    self.delete_backend(row.id)
            raise

    def delete_backend(self, backend: int) -> None:
        """Resets the project's model_version; the webhook stays."""
        self._api.send("DELETE", f"/api/ml/{backend}")

    def webhooks(self, ls_id: int) -> list[RemoteWebhook]:
        return [_webhook(raw) for raw in self._api.get("/api/webhooks/", {"project": ls_id})]

    def add_webhook(self, ls_id: int, url: str, headers: Mapping[str, str]) -> RemoteWebhook:
        body = {"project": ls_id, "url": url, "headers": dict(headers), "send_payload": True}
        return _webhook(self._api.send("POST", "/api/webhooks/", {**body, "send_for_all_actions": True}))

    def set_webhook_headers(self, webhook: int, headers: Mapping[str, str]) -> None:
        """The actions are sent along: a PATCH without them would clear them."""
        path = f"/api/webhooks/{webhook}/"
        actions = self._api.get(path)["actions"]
        self._api.send("PATCH", path, {"headers": dict(headers), "actions": actions})

    def delete_webhook(self, webhook: int) -> None:
        self._api.send("DELETE", f"/api/webhooks/{webhook}/")


def _query(after: int, since: float | None) -> str:
    """The Data Manager's filter: ids above `after`, changed not before `since`."""
    items: list[dict[str, JSON]] = []
    if after:
        items.append({"filter": "filter:tasks:id", "operator": "greater", "type": "Number", "value": after})
    if since is not None:
        time = datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        changed = {"filter": "filter:tasks:updated_at", "operator": "greater_or_equal", "type": "Datetime"}
        items.append({**changed, "value": time})
    return json.dumps({"filters": {"conjunction": "and", "items": items}, "ordering": ["tasks:id"]})


def _project(raw: Answer) -> RemoteProject:
    created = int(parse_time(raw["created_at"]))  # whole seconds, as in the `project` of /setup
    return RemoteProject(
        ls_id=raw["id"],
        key=f"{raw['id']}.{created}",
        title=raw["title"] or "",
        label_config=raw["label_config"] or "",
        sampling=raw["sampling"] or "",
        model_version=raw["model_version"] or "",
        tasks=raw["task_number"] or 0,
    )


def _backend(raw: Answer) -> RemoteBackend:
    """`state` as Label Studio abbreviates it: CO connected, DI disconnected, ER error."""
    return RemoteBackend(raw["id"], raw["url"], raw["title"] or "", raw["state"], raw["error_message"] or "")


def _webhook(raw: Answer) -> RemoteWebhook:
    return RemoteWebhook(raw["id"], raw["url"], raw["headers"] or {}, raw["is_active"])

"""A real Label Studio for tests, with what people and admins do to it: projects, imports, labels, users, tokens."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from scripts.label_studio_server import EMAIL, PASSWORD, TOKEN, LabelStudioServer
from tests.harness.seaweed import KEY, SECRET, Seaweed

DIGITS = "".join(f'<Choice value="{digit}"/>' for digit in range(10))
CONFIG = (
    '<View><Image name="img" value="$image" maxWidth="250px"/>'
    f'<Choices name="digit" toName="img" showInline="true">{DIGITS}</Choices></View>'
)


@dataclass
class User:
    """A Label Studio user; `http` is signed with the legacy token."""

    email: str
    password: str
    token: str
    http: httpx.Client


@dataclass
class RealLabelStudio:
    """A server and its users. `files` is the root that local-files tasks are served from."""

    data: Path
    files: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.server = LabelStudioServer(self.data, files=self.files, environment=self.environment)
        self.users: dict[str, User] = {}

    @property
    def url(self) -> str:
        return self.server.url

    def start(self) -> None:
        self.server.start()
        if EMAIL not in self.users:
            self.users[EMAIL] = self._user(EMAIL, PASSWORD, TOKEN)

    def stop(self) -> None:
        self.server.stop()
        for user in self.users.values():
            user.http.close()
        self.users.clear()

    def kill9(self) -> None:
        self.server.kill9()

    def restart(self) -> None:
        """Same port, same data."""
        self.server.restart()

    def __enter__(self) -> RealLabelStudio:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def admin(self) -> User:
        return self.users[EMAIL]

    def _user(self, email: str, password: str, token: str) -> User:
        signed = httpx.Client(base_url=self.url, headers={"Authorization": f"Token {token}"}, timeout=120)
        return User(email, password, token, signed)

    def user(self, email: str) -> User:
        """The user with this address, signed up as a person would if new."""
        if email not in self.users:
            with httpx.Client(base_url=self.url, timeout=60) as browser:
                page = browser.get("/user/signup/")
                csrf = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
                assert csrf, page.text[:500]
                form = {"email": email, "password": PASSWORD, "csrfmiddlewaretoken": csrf[1]}
                answer = browser.post("/user/signup/", data=form, headers={"Referer": self.url})
                assert answer.status_code == 302, answer.text[:500]
                token = browser.get("/api/current-user/token").raise_for_status().json()["token"]
            self.users[email] = self._user(email, PASSWORD, token)
        return self.users[email]

    def personal_token(self, user: User | None = None) -> str:
        """A new Personal Access Token (the one before is blacklisted)."""
        http = (user or self.admin).http
        for row in http.get("/api/token/").raise_for_status().json():
            http.post("/api/token/blacklist/", json={"refresh": row["token"]}).raise_for_status()
        return str(http.post("/api/token/").raise_for_status().json()["token"])

    def allow_legacy_tokens(self, allowed: bool, *, personal: str) -> None:
        """Switch legacy tokens for the organization; signed with a personal token, which works either way."""
        access = httpx.post(f"{self.url}/api/token/refresh/", json={"refresh": personal}).json()["access"]
        body = {"api_tokens_enabled": True, "legacy_api_tokens_enabled": allowed}
        headers = {"Authorization": f"Bearer {access}"}
        httpx.post(f"{self.url}/api/jwt/settings", json=body, headers=headers).raise_for_status()

    def create_project(self, title: str = "digits", config: str = CONFIG, **fields: Any) -> int:
        return int(self._post("/api/projects/", {"title": title, "label_config": config, **fields})["id"])

    def delete_project(self, project: int) -> None:
        self.admin.http.delete(f"/api/projects/{project}/").raise_for_status()

    def project(self, project: int) -> dict[str, Any]:
        return dict(self.admin.http.get(f"/api/projects/{project}/").raise_for_status().json())

    def update_project(self, project: int, **fields: Any) -> None:
        self.admin.http.patch(f"/api/projects/{project}/", json=fields).raise_for_status()

    def import_tasks(self, project: int, tasks: Sequence[dict[str, Any]]) -> list[int]:
        """Import task JSON; returns the new ids, in order."""
        answer = self._post(f"/api/projects/{project}/import?return_task_ids=true", list(tasks))
        return [int(number) for number in answer["task_ids"]]

    def import_files(self, project: int, paths: Iterable[Path]) -> list[int]:
        """Import images under `files` as local-files tasks."""
        return self.import_tasks(project, [{"image": ref} for ref in self.references(project, paths)])

    def references(self, project: int, paths: Iterable[Path]) -> list[str]:
        """Images under `files` as task data names them, by a storage registered once for a project."""
        storages = self.admin.http.get("/api/storages/localfiles/", params={"project": project}).json()
        if not storages:
            root = self.files.resolve() / "images"
            root.mkdir(exist_ok=True)
            self._post("/api/storages/localfiles/", {"project": project, "path": str(root), "use_blob_urls": True})
        root = self.files.resolve()
        return [f"/data/local-files/?d={path.resolve().relative_to(root)}" for path in paths]

    def add_s3(self, project: int, store: Seaweed, *, sync: bool = True, **fields: Any) -> int:
        """A source storage of the whole bucket, its objects imported as tasks; returns the storage's id."""
        body = {"project": project, "bucket": store.bucket, "s3_endpoint": store.url, "use_blob_urls": True}
        body |= {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "recursive_scan": True, **fields}
        number = int(self._post("/api/storages/s3/", body)["id"])
        if sync:
            answer = self._post(f"/api/storages/s3/{number}/sync", {})
            assert answer["status"] == "completed", answer
        return number

    def upload(self, project: int, paths: Sequence[Path]) -> None:
        """Upload image files as a person does by drag and drop, 100 a request."""
        for begin in range(0, len(paths), 100):
            files = [("file", (path.name, path.read_bytes(), "image/png")) for path in paths[begin : begin + 100]]
            answer = self.admin.http.post(f"/api/projects/{project}/import", files=files)
            answer.raise_for_status()

    def tasks(self, project: int) -> dict[int, dict[str, Any]]:
        """All tasks with annotations and predictions, by id."""
        params = {"project": project, "fields": "all", "page_size": 10_000}
        rows = self.admin.http.get("/api/tasks/", params=params).raise_for_status().json()["tasks"]
        return {row["id"]: row for row in rows}

    def delete_tasks(self, project: int, ids: Sequence[int]) -> None:
        self.action(project, "delete_tasks", ids)

    def delete_predictions(self, project: int, ids: Sequence[int]) -> None:
        self.action(project, "delete_tasks_predictions", ids)

    def action(self, project: int, name: str, ids: Sequence[int]) -> None:
        """An action of the Data Manager on these tasks."""
        body = {"selectedItems": {"all": False, "included": list(ids)}, "ordering": []}
        body["filters"] = {"conjunction": "and", "items": []}
        self._post(f"/api/dm/actions?id={name}&project={project}", body)

    def locked(self) -> set[int]:
        """Tasks that somebody has before him, which nobody else is served; read from its database."""
        path = self.server.data / "label_studio.sqlite3"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as database:
            rows = database.execute("select task_id from tasks_tasklock where expire_at > datetime('now')").fetchall()
        return {int(number) for (number,) in rows}

    def served(self, project: int) -> list[int]:
        """Tasks by the score of their predictions of the project's model version: the order of its queue, unlocked."""
        version = self.project(project)["model_version"]
        scores = [
            (item["score"], number)
            for number, task in self.tasks(project).items()
            for item in task["predictions"]
            if item["model_version"] == version
        ]
        return [number for _, number in sorted(scores)]

    def next_task(self, project: int, user: User | None = None) -> int | None:
        """What "Label All Tasks" serves this user now, asked as the page asks; locks it for the user. None: no more."""
        answer = (user or self.admin).http.post(
            "/api/dm/actions", params={"id": "next_task", "project": project}, json={"project": str(project)}
        )
        return None if answer.status_code == 404 else int(answer.raise_for_status().json()["id"])

    def annotate(self, task: int, label: str | None, user: User | None = None) -> int:
        """Submit a label (None: skip); returns the annotation's id."""
        return self._submit(task, self.result(label), label is None, user)

    def submit_nothing(self, task: int, user: User | None = None) -> int:
        """Submit an empty form, which is no skip; returns the annotation's id."""
        return self._submit(task, [], False, user)

    def _submit(self, task: int, result: list[dict[str, Any]], skip: bool, user: User | None) -> int:
        body = {"result": result, "was_cancelled": skip, "lead_time": 1.0}
        return int(self._post(f"/api/tasks/{task}/annotations/", body, user)["id"])

    def change(self, annotation: int, label: str) -> None:
        self.admin.http.patch(f"/api/annotations/{annotation}/", json={"result": self.result(label)}).raise_for_status()

    def delete_annotation(self, annotation: int) -> None:
        self.admin.http.delete(f"/api/annotations/{annotation}/").raise_for_status()

    @staticmethod
    def result(label: str | None) -> list[dict[str, Any]]:
        region = {"from_name": "digit", "to_name": "img", "type": "choices", "value": {"choices": [label]}}
        return [region] if label is not None else []

    def _post(self, path: str, body: Any, user: User | None = None) -> dict[str, Any]:
        answer = (user or self.admin).http.post(path, json=body)
        if not answer.is_success:
            told = f"{path}: {answer.status_code} {answer.text[:500]}\n{self.server.tail()}"
            raise httpx.HTTPStatusError(told, request=answer.request, response=answer)
        return dict(json.loads(answer.content or "{}"))

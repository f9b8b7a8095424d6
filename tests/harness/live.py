"""A real Label Studio and a real LabelQueue joined: projects of digits, and what is true of them now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import lance
import numpy as np

from scripts.digits import digits, label_of
from tests.harness.labelqueue import RealLabelQueue
from tests.harness.labelstudio import RealLabelStudio, User
from tests.harness.waiting import wait_for

SAMPLING = "Uncertainty sampling"


@dataclass
class Live:
    """Both sides; every project here is Label Studio's id."""

    label_studio: RealLabelStudio
    labelqueue: RealLabelQueue

    def project(self, n: int, *, connect: bool = True) -> int:
        """A project of the first n digits, connected, embedded and with its first ranking live."""
        number = self.label_studio.create_project(f"{n} digits")
        self.add(number, n)
        if connect:
            self.labelqueue.run("connect", number, "--url", self.labelqueue.url)
            self.ready(number, n)
        return number

    def add(self, project: int, n: int, *, start: int = 0) -> list[int]:
        """Import digits start..start+n; returns their task ids."""
        paths = digits(self.label_studio.files / "images", n, start=start)
        return self.label_studio.import_files(project, paths)

    def status(self, project: int) -> dict[str, Any]:
        """What `labelqueue status --json` says, by HTTP, for it is asked often; {} while unknown."""
        try:
            answer = httpx.get(f"{self.labelqueue.url}/api/projects/{project}", timeout=10)
        except httpx.TransportError:
            return {}
        return dict(answer.json()) if answer.status_code == 200 else {}

    def queue(self, project: int) -> list[int]:
        """The whole order as `labelqueue queue --json` names it, by HTTP as `status`."""
        answer = httpx.get(f"{self.labelqueue.url}/api/projects/{project}/queue", params={"limit": 1000}, timeout=10)
        return [int(row["task"]) for row in answer.raise_for_status().json()]

    def version(self, project: int) -> str:
        """model_version of the live ranking if Label Studio serves by it now, else "": an order that is both sides'."""
        live = self.status(project).get("live")
        remote = self.label_studio.project(project)
        ours = live and remote["sampling"] == SAMPLING and remote["model_version"] == live["version"]
        return str(live["version"]) if ours else ""

    def ready(self, project: int, embedded: int, limit: float = 120) -> str:
        """Wait until this many tasks are embedded and a ranking is served that knows them; its version."""

        def condition() -> str:
            now = self.status(project)
            assert not now.get("failed"), self.labelqueue.json("tasks", project, "--failed")[:3]
            done = now.get("embedded") == embedded and now.get("pending") == 0
            return self.version(project) if done else ""

        self.wait(condition, limit, f"project {project} with {embedded} embedded", project)
        return self.quiet(project)

    def quiet(self, project: int) -> str:
        """Wait until no ranking is under way; the version served then."""

        def condition() -> str:
            now = self.status(project)
            busy = [job for job in now["jobs"] if job["state"] == "running" and job["name"] != "reconcile"]
            return "" if busy or now["queued"] or now["backlog"] else self.version(project)

        return self.wait(condition, 60, f"project {project} at rest", project)

    def next_version(self, project: int, before: str, limit: float = 60) -> str:
        """Wait for another order than `before` and for the work to rest; its version."""
        self.wait(lambda: self.version(project) not in ("", before), limit, f"an order after {before}", project)
        return self.quiet(project)

    def counts(self, project: int, limit: float = 30, **wanted: Any) -> None:
        """Wait until the status shows these values."""

        def condition() -> bool:
            now = self.status(project)
            return all(now.get(name) == value for name, value in wanted.items())

        self.wait(condition, limit, f"{wanted} in project {project}", project)

    def wait(self, condition: Callable[[], Any], limit: float, what: object, project: int) -> Any:
        def tell() -> str:
            return f"{self.status(project)}\n{self.labelqueue.tail()}"

        return wait_for(condition, limit, what=what, tell=tell)

    def webhooks(self, project: int) -> list[dict[str, Any]]:
        answer = self.label_studio.admin.http.get("/api/webhooks/", params={"project": project})
        return list(answer.raise_for_status().json())

    def truth(self, project: int) -> dict[int, str]:
        """The true digit of each task, from its file's name."""
        return {number: label_of(task["data"]["image"]) for number, task in self.label_studio.tasks(project).items()}

    def serve_and_label(self, project: int, truth: dict[int, str], n: int, user: User | None = None) -> list[int]:
        """Label n tasks truthfully as Label Studio serves them; their ids in that order."""
        served = []
        for _ in range(n):
            task = self.label_studio.next_task(project, user)
            assert task is not None
            self.label_studio.annotate(task, truth[task], user)
            served.append(task)
        return served

    def embedded_rows(self, ours: int) -> list[int]:
        """Task ids in the feature store of OUR project `ours`, with repetitions if something was stored twice."""
        (folder,) = (self.labelqueue.home / "features" / f"p{ours}").glob("features-v*.lance")
        return sorted(np.asarray(lance.dataset(str(folder)).to_table(columns=["task_id"])["task_id"]).tolist())


def positions(served: Sequence[int], order: Sequence[int]) -> list[int]:
    """Where each served task stands in the order; -1 if it does not."""
    return [order.index(task) if task in order else -1 for task in served]

"""label-studio-ml 1.0.9 beside Flask 3, serving our class to a real Label Studio: a live queue that way as well."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from scripts.digits import digits
from scripts.label_studio_server import ROOT, TOKEN
from tests.harness.labelqueue import RealLabelQueue
from tests.harness.labelstudio import RealLabelStudio
from tests.harness.valkey import Valkey
from tests.harness.waiting import wait_for

pytestmark = pytest.mark.e2e

PACKAGES = ("label-studio-ml==1.0.9", "label-studio-tools==0.0.4", "colorama==0.4.6")
TASKS, BATCH, HEAD = 30, 2, 20


@pytest.fixture(scope="session")
def package() -> Path:
    """A folder with 1.0.9 and what it imports beyond our own requirements; its pins would pull in Flask 1.1."""
    folder = ROOT / ".cache" / "label-studio-ml-1.0.9"
    folder.parent.mkdir(exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            part = folder.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(part), *PACKAGES]
            subprocess.run(command, check=True, capture_output=True, timeout=180)
            part.rename(folder)
    return folder


@pytest.fixture
def installation(label_studio: RealLabelStudio, valkey: Valkey, tmp_path: Path) -> Iterator[RealLabelQueue]:
    """A worker of ours; Label Studio is looked at only on events, so that what shows came through them."""
    settings = {"BATCH_SIZE": str(BATCH), "RECONCILE_SECONDS": "600"}
    with RealLabelQueue(tmp_path / "home", label_studio.url, TOKEN, valkey.url, settings) as ours:
        ours.start_worker()
        yield ours


@pytest.fixture
def served(installation: RealLabelQueue, package: Path, tmp_path: Path) -> Iterator[RealLabelQueue]:
    """The same installation with label-studio-ml's web process in place of ours."""
    environment = installation.environment
    environment["PYTHONPATH"] = os.pathsep.join([str(package), str(ROOT)])
    script = Path(__file__).with_name("serve_ml_sdk.py")
    with installation.log("label-studio-ml").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, str(script), str(tmp_path / "models")], env=environment, stdout=log, stderr=log
        )
    try:
        wait_for(lambda: healthy(installation, process), 60, what="label-studio-ml", tell=installation.tail)
        yield installation
    finally:
        process.terminate()
        process.wait(20)


def healthy(installation: RealLabelQueue, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, installation.tail()
    try:
        return httpx.get(f"{installation.url}/health", timeout=2).json()["status"] == "UP"
    except httpx.TransportError:
        return False


def test_1_0_9_with_our_class_gives_label_studio_a_live_queue(
    label_studio: RealLabelStudio, served: RealLabelQueue
) -> None:
    http = label_studio.admin.http
    project = label_studio.create_project("by label-studio-ml")
    label_studio.import_files(project, digits(label_studio.files / "images", TASKS))

    row = http.post("/api/ml", json={"project": project, "url": served.url, "title": "LabelQueue"})
    assert row.status_code == 201, row.text
    assert row.json()["state"] == "CO"

    def live() -> str:
        version = str(label_studio.project(project)["model_version"] or "")
        return version if version.startswith("labelqueue-") else ""

    version = wait_for(live, 120, what="the first ranking", tell=served.tail)
    tasks = label_studio.tasks(project)
    behind = [number for number, task in tasks.items() if not task["predictions"]]
    assert len(behind) == TASKS - HEAD

    body: dict[str, Any] = {"selectedItems": {"all": False, "included": behind}, "ordering": []}
    body["filters"] = {"conjunction": "and", "items": []}
    path = f"/api/dm/actions?id=retrieve_tasks_predictions&project={project}"
    http.post(path, json=body).raise_for_status()
    stored = [task["predictions"] for number, task in label_studio.tasks(project).items() if number in behind]
    assert all(len(predictions) == 1 for predictions in stored)
    assert {predictions[0]["model_version"] for predictions in stored} == {f"{version}-guesses"}
    assert all(predictions[0]["score"] >= 1 for predictions in stored), "behind the head of the queue"

    first = label_studio.next_task(project)
    assert first is not None and first not in behind
    label_studio.annotate(first, "3")
    counted = lambda: served.json("status", project)["labeled"] == 1  # noqa: E731
    wait_for(counted, 60, every=1, what="the label, by 1.0.9's webhook", tell=served.tail)

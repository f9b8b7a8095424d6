"""`connect` and `doctor` against real servers: what is wrong is said in plain words, with the cure."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from scripts.digits import digits
from scripts.label_studio_server import TOKEN
from tests.harness.labelqueue import RealLabelQueue
from tests.harness.labelstudio import RealLabelStudio
from tests.harness.live import Live
from tests.harness.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

CAPTIONS = '<View><Image name="img" value="$image"/><TextArea name="caption" toName="img"/></View>'
TEXT = '<View><Text name="t" value="$text"/><Choices name="c" toName="t"><Choice value="a"/></Choices></View>'


def test_a_healthy_project_has_nothing_to_mend(live: Live) -> None:
    project = live.project(30)
    said = live.labelqueue.run("doctor", project).stdout
    assert "1.23.2" in said


def test_a_label_studio_that_guards_local_addresses_is_recognised_and_nothing_is_left_behind(
    live: Live, tmp_path: Path
) -> None:
    guards = {"ML_BLOCK_LOCAL_IP": "true", "SSRF_PROTECTION_ENABLED": "true"}
    with RealLabelStudio(tmp_path / "ls", tmp_path / "files", guards) as guarded:
        project = guarded.create_project()
        guarded.import_files(project, digits(tmp_path / "files" / "images", 3))
        with RealLabelQueue(tmp_path / "home", guarded.url, TOKEN, live.labelqueue.redis_url) as ours:
            ours.start_web()
            said = ours.run("connect", project, "--url", ours.url, ok=False).stderr
            assert "ML_BLOCK_LOCAL_IP=false" in said
            assert "SSRF_PROTECTION_ENABLED=false" in said
            rows = guarded.admin.http.get("/api/ml/", params={"project": project}).json()
            assert rows == []


def test_a_wrong_token_and_an_absent_server_are_told_apart(live: Live, tmp_path: Path) -> None:
    settings = live.labelqueue
    wrong = RealLabelQueue(tmp_path / "wrong", settings.label_studio_url, "f" * 40, settings.redis_url)
    said = wrong.run("doctor", ok=False)
    assert "token" in (said.stdout + said.stderr).lower()
    absent = RealLabelQueue(tmp_path / "absent", "http://127.0.0.1:9", TOKEN, settings.redis_url)
    said = absent.run("doctor", ok=False)
    assert "does not answer" in said.stdout + said.stderr


def test_a_project_without_images_is_refused_and_one_with_captions_is_queued_by_geometry(live: Live) -> None:
    texts = live.label_studio.create_project("texts", TEXT)
    assert "Image tag" in live.labelqueue.run("connect", texts, "--url", live.labelqueue.url, ok=False).stderr
    captions = live.label_studio.create_project("captions", CAPTIONS)
    live.add(captions, 30)
    live.labelqueue.run("connect", captions, "--url", live.labelqueue.url)
    live.ready(captions, 30)
    assert live.label_studio.next_task(captions) == live.queue(captions)[0]
    said = live.labelqueue.run("strategy", captions, "margin", ok=False).stderr
    assert "probabilities" in said


def test_a_webhook_without_our_secret_is_found_and_mended_by_connecting_again(live: Live) -> None:
    project = live.project(30)
    (hook,) = live.webhooks(project)
    actions = {"headers": {}, "send_for_all_actions": True}
    live.label_studio.admin.http.patch(f"/api/webhooks/{hook['id']}/", json=actions).raise_for_status()
    assert "webhook" in live.labelqueue.run("doctor", project, ok=False).stdout
    live.labelqueue.run("connect", project, "--url", live.labelqueue.url)
    live.labelqueue.run("doctor", project)


def test_a_missing_worker_is_found(live: Live) -> None:
    project = live.project(30)
    live.labelqueue.stop_workers()
    try:
        wait_for(
            lambda: "worker" in live.labelqueue.run("doctor", project, ok=False).stdout, 40, what="doctor's finding"
        )
        assert httpx.get(f"{live.labelqueue.url}/health").status_code == 200
    finally:
        live.labelqueue.start_worker()

"""A project whose images lie in an object store, from Label Studio's sync to the served order."""

from __future__ import annotations

import pytest

from scripts.digits import digits
from scripts.label_studio_server import TOKEN
from tests.harness.labelqueue import RealLabelQueue
from tests.harness.live import Live
from tests.harness.seaweed import Seaweed

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
IMAGES = {True: 40, False: 8}  # by whether addresses are presigned


def test_forty_of_forty_images_in_a_store_are_embedded_and_ranked(live: Live, store: Seaweed) -> None:
    """(10-D1) Presigned addresses and bytes through Label Studio; no cloud credentials at our side."""
    ours = live.labelqueue
    projects = {}
    for presign, count in IMAGES.items():
        for path in digits(live.label_studio.files / "images", count):
            store.put(f"cloud/{presign}/{path.name}", path.read_bytes())
        number = live.label_studio.create_project(f"presign {presign}")
        live.label_studio.add_s3(number, store, prefix=f"cloud/{presign}/", presign=presign)
        projects[number] = count
    home, redis_url = ours.home.parent / "cloud", ours.redis_url[:-1] + "2"
    allowed = {"IMAGE_HOSTS": store.host}
    with RealLabelQueue(home, ours.label_studio_url, TOKEN, redis_url, allowed) as second:
        second.start()
        near = Live(live.label_studio, second)
        for project in projects:
            second.run("connect", project, "--url", second.url)
        for project, count in projects.items():
            near.ready(project, count)
            assert near.status(project)["tasks"] == count and not near.status(project)["failed"]
            assert live.label_studio.next_task(project) == near.queue(project)[0]


def test_a_private_store_that_is_not_allowed_fails_each_image_with_the_setting(live: Live, store: Seaweed) -> None:
    """(10-D1) What an operator sees who connects such a project for the first time."""
    for path in digits(live.label_studio.files / "images", 3):
        store.put(f"three/{path.name}", path.read_bytes())
    project = live.label_studio.create_project("not allowed")
    live.label_studio.add_s3(project, store, prefix="three/")
    live.labelqueue.run("connect", project, "--url", live.labelqueue.url)
    live.counts(project, limit=120, failed=3)
    reasons = [row["reason"] for row in live.labelqueue.json("tasks", project, "--failed")]
    assert all(f"set IMAGE_HOSTS={store.host} " in reason for reason in reasons), reasons

"""`ImageSource` with a real Label Studio before a real S3-compatible store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backend.adapters.images.source import ImageSource
from backend.adapters.label_studio.client import ApiLabelStudio
from backend.core.errors import BadImage, LabelStudioDown
from scripts.digits import digits
from scripts.label_studio_server import TOKEN
from tests.backend.image_server import Server
from tests.harness.labelstudio import RealLabelStudio
from tests.harness.seaweed import Seaweed

pytestmark = pytest.mark.e2e
NAMES = ("plain.png", "a b.png", "ü+&=#.png", "100%.png", "a%20b.png", "deep/er/x'y\".png")

Make = Callable[..., ImageSource]


@pytest.fixture
def make() -> Iterator[Make]:
    """`make(label_studio, store)`: an image source wired as the worker's, with the store allowed."""
    with ExitStack() as opened:

        def build(studio: RealLabelStudio, *stores: Seaweed, **options: Any) -> ImageSource:
            api = opened.enter_context(closing(ApiLabelStudio(studio.url, TOKEN)))
            given = {"label_studio_url": studio.url, "allowed_hosts": [store.host for store in stores], **options}
            return ImageSource(auth_headers=api.auth_headers, own_address=api.own_address, **given)

        yield build


@pytest.fixture(scope="module")
def objects(store: Seaweed) -> dict[str, bytes]:
    """Address in the store -> bytes."""
    return {store.put(f"odd/{name}", name.encode()): name.encode() for name in NAMES}


@pytest.mark.parametrize("presign", [True, False])
def test_objects_come_by_both_modes_whatever_their_names(
    label_studio: RealLabelStudio, store: Seaweed, objects: dict[str, bytes], make: Make, presign: bool
) -> None:
    """(10-D1) Presigned addresses, and bytes through Label Studio; as stored, and as Label Studio shows them."""
    project = label_studio.create_project()
    label_studio.add_s3(project, store, prefix="odd/", presign=presign)
    shown = {number: str(task["data"]["image"]) for number, task in label_studio.tasks(project).items()}
    images = make(label_studio, *([store] if presign else []))
    assert {images.fetch(ref, task) for task, ref in shown.items()} == set(objects.values())
    assert all("/resolve/?fileuri=" in ref for ref in shown.values())
    task = min(shown)
    for ref, data in objects.items():
        assert images.fetch(ref, task) == data
        assert images.fetch(shown[task].replace(f"/tasks/{task}/resolve/", f"/projects/{project}/presign/"), task)


def test_a_store_at_a_private_address_is_refused_with_the_setting(
    label_studio: RealLabelStudio, store: Seaweed, objects: dict[str, bytes], make: Make
) -> None:
    """(10-D1) Unless Label Studio hands on the bytes itself."""
    project = label_studio.create_project()
    label_studio.add_s3(project, store, prefix="odd/")
    task, ref = min(label_studio.tasks(project)), min(objects)
    with pytest.raises(BadImage, match=rf"127\.0\.0\.1 is private; to allow it set IMAGE_HOSTS={store.host} "):
        make(label_studio).fetch(ref, task)
    assert make(label_studio, store).fetch(ref, task) == objects[ref]


@pytest.mark.parametrize("presign", [True, False])
def test_what_is_not_there_is_told_for_that_image(
    label_studio: RealLabelStudio, store: Seaweed, objects: dict[str, bytes], make: Make, presign: bool
) -> None:
    """(10-D1) Missing key, another bucket, another cloud, a storage that was removed, a task that is gone."""
    project = label_studio.create_project()
    number = label_studio.add_s3(project, store, prefix="odd/", presign=presign)
    images, task = make(label_studio, store), min(label_studio.tasks(project))
    with pytest.raises(BadImage, match="404 NoSuchKey from the store" if presign else "cannot read .*HTTP 424"):
        images.fetch("s3://pictures/nowhere.png", task)
    for ref in ("s3://elsewhere/a.png", "gs://pictures/a.png", "azure-blob://pictures/a.png", "s3://pictures"):
        with pytest.raises(BadImage, match=rf"finds no cloud storage for {ref} .*add a source storage"):
            images.fetch(ref, task)
    with pytest.raises(BadImage, match="was the task deleted"):
        images.fetch(min(objects), 10**9)
    label_studio.admin.http.delete(f"/api/storages/s3/{number}").raise_for_status()
    with pytest.raises(BadImage, match="finds no cloud storage"):
        images.fetch(min(objects), task)


def test_an_address_that_expired_on_the_way_is_renewed(
    label_studio: RealLabelStudio, store: Seaweed, objects: dict[str, bytes], make: Make
) -> None:
    """(10-D1) Expiry amid embedding: the store itself refuses the old signature, Label Studio gives a fresh one."""
    project = label_studio.create_project()
    label_studio.add_s3(project, store, prefix="odd/")
    task, ref = min(label_studio.tasks(project)), min(objects)
    late = store.presigned(ref.split("/", 3)[3], at=datetime.now(UTC) - timedelta(hours=1))
    good = store.presigned(ref.split("/", 3)[3])
    with Server() as before:  # stands in Label Studio's place and hands out what a slow network delivers too late
        before.leads = [(303, late), (303, good)]
        images = ImageSource(label_studio_url=before.url, auth_headers=dict, allowed_hosts=[store.host])
        assert images.fetch(ref, task) == objects[ref]
        assert len(before.seen) == 2
        before.shutdown()


def test_addresses_that_expire_at_once_are_told_with_the_cure(
    label_studio: RealLabelStudio, store: Seaweed, objects: dict[str, bytes], make: Make
) -> None:
    """(10-D1) A time to live of 0 minutes, set in Label Studio."""
    project = label_studio.create_project()
    label_studio.add_s3(project, store, prefix="odd/", presign_ttl=0)
    with pytest.raises(BadImage, match=r"AccessDenied from the store .*time to live in Label Studio"):
        make(label_studio, store).fetch(min(objects), min(label_studio.tasks(project)))


def test_keys_that_were_withdrawn_and_a_store_that_is_away(
    label_studio: RealLabelStudio, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """(10-D1) The first is told, the second is waited for."""
    monkeypatch.setattr("backend.adapters.images.source.WAITS", (0.01,))
    project = label_studio.create_project()
    with Seaweed(tmp_path / "store") as store:
        ref = store.put("a.png", b"a")
        label_studio.add_s3(project, store)
        images, task = make(label_studio, store), min(label_studio.tasks(project))
        assert images.fetch(ref, task) == b"a"
        store.stop()
        with pytest.raises(LabelStudioDown, match=rf"the store {store.host}.*does not answer"):
            images.fetch(ref, task)
        store.key = "AKIAOTHER"
        store.start()
        with pytest.raises(BadImage, match=r"403 InvalidAccessKeyId .*keys of the storage in Label Studio are wrong"):
            images.fetch(ref, task)


def test_images_are_known_by_every_name_of_a_label_studio_below_a_sub_path(
    store: Seaweed, objects: dict[str, bytes], make: Make, tmp_path: Path
) -> None:
    """(10-C6) Uploads, synced local files and cloud objects of a Label Studio that is reached by its inner address."""
    public = "https://labels.example/ls"
    with RealLabelStudio(tmp_path / "data", tmp_path / "files", {"LABEL_STUDIO_HOST": public}) as studio:
        project = studio.create_project()
        paths = digits(studio.files / "images", 2)
        studio.upload(project, paths[:1])
        local = {"project": project, "path": str(studio.files / "images"), "use_blob_urls": True}
        number = studio.admin.http.post("/api/storages/localfiles/", json=local).raise_for_status().json()["id"]
        studio.admin.http.post(f"/api/storages/localfiles/{number}/sync").raise_for_status()
        studio.add_s3(project, store, prefix="odd/")
        shown = {number: str(task["data"]["image"]) for number, task in studio.tasks(project).items()}
        ways = {ref.partition("?")[0].rpartition("/")[0].replace(str(task), "N") for task, ref in shown.items()}
        assert {"/ls/data/upload/N", f"{public}/data/local-files", f"{public}/tasks/N/resolve"} <= ways
        images = make(studio, store)
        got = [images.fetch(ref, task) for task, ref in shown.items()]
        assert sorted(got) == sorted([paths[0].read_bytes(), *(p.read_bytes() for p in paths), *objects.values()])
        same = f"http://localhost:{studio.server.port}{min(shown.values()).removeprefix('/ls')}"
        assert images.fetch(same, min(shown)) == paths[0].read_bytes()

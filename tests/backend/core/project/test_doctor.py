"""`diagnose`: each thing that can be wrong is found, told in words, and comes with its cure."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backend.adapters.state import StateDown
from backend.core.domain import LabelConfig, RemoteBackend, WorkerView
from backend.core.errors import LabelStudioRefused
from backend.core.project.connect import connect
from backend.core.project.doctor import diagnose
from backend.core.services import Options
from backend.core.tasks import sync
from tests.backend.world import LS_ID, World

URL = "http://127.0.0.1:9090"


def reachable(url: str) -> str:
    return ""


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path, options=Options(public_url=URL))
    made.ls.add_project(LS_ID, 4)
    made.jobs.crew.append(WorkerView("w", "here", 1, "cuda:0", "", 0.0))
    connect(made.services, LS_ID)
    return made


def wrong(world, **given):
    found = diagnose(world.services, **{"reach": reachable} | given)
    return {(item.level, item.what): item.cure for item in found if item.level != "ok"}


def only(found):
    [((level, what), cure)] = found.items()
    return level, what, cure


def ready(world):
    sync.reconcile(world.services, world.project.id, full=True)
    world.embed_all()
    world.rank()


def test_a_healthy_project_has_only_good_news(world):
    ready(world)
    assert wrong(world) == {}
    assert any("cuda:0" in item.what for item in diagnose(world.services, reach=reachable))


def test_before_the_first_ranking_one_is_told_to_wait(world):
    level, what, cure = only(wrong(world))
    assert level == "warn" and "no ranking is live yet" in what and "wait" in cure


def test_a_dead_queue_and_a_missing_worker_are_told_apart(world):
    ready(world)
    world.jobs.crew.clear()
    assert "labelqueue worker" in only(wrong(world))[2]
    world.jobs.down = True
    assert "REDIS_URL" in only(wrong(world))[2]


def test_our_own_web_process_and_the_store_are_looked_at(world):
    ready(world)
    found = wrong(world, reach=lambda url: f"refused at {url}", storage=lambda: "read-only")
    assert {level for level, _ in found} == {"fail"}
    assert any("PUBLIC_URL" in cure for cure in found.values())
    assert any("STORAGE_URL" in cure for cure in found.values())


def test_the_way_out_is_the_one_that_the_error_itself_names(world):
    """(10-E4) The arrow said "correct DATABASE_URL" for a full disk, and "correct REDIS_URL" for one of Redis."""
    ready(world)
    full = StateDown("the disk that holds the database /d/x is full (disk I/O error); make room on it")
    world.services = replace(world.services, projects=Refusing(full))
    assert wrong(world) == {
        ("fail", "the disk that holds the database /d/x is full (disk I/O error)"): "make room on it"
    }


class Refusing:
    """A store that answers every question with an error."""

    def __init__(self, error):
        self.error = error

    def all(self):
        raise self.error


def test_what_the_store_lacks_is_told_with_its_own_way_out(world):
    """(10-E4) On a full disk the feature store "can be written"."""
    ready(world)
    trouble = only(wrong(world, storage=lambda: "the disk that holds /d is full; make room on it"))
    assert trouble == ("fail", "the feature store cannot be used: the disk that holds /d is full", "make room on it")


def test_label_studio_refusing_the_token_stops_the_looking(world):
    ready(world)
    world.ls.refuse["server"] = LabelStudioRefused(401, "legacy tokens are off; make a personal access token")
    assert only(wrong(world)) == ("fail", "legacy tokens are off", "make a personal access token")
    world.ls.refuse.clear()
    world.ls.down = True
    assert "does not answer" in only(wrong(world))[1]


def test_blocked_local_addresses_name_both_settings(world):
    ready(world)
    error = "403 URL resolves to a reserved network address (block: 127.0.0.0/8)"
    world.ls.rows[LS_ID][0] = RemoteBackend(1, URL, "LabelQueue", "ER", error)
    cure = only(wrong(world))[2]
    assert "ML_BLOCK_LOCAL_IP=false" in cure and "SSRF_PROTECTION_ENABLED=false" in cure


def test_an_unreachable_row_shows_label_studios_last_line(world):
    ready(world)
    world.ls.rows[LS_ID][0] = RemoteBackend(1, URL, "LabelQueue", "DI", "Traceback\nconnection refused")
    assert "connection refused" in only(wrong(world))[1]


def test_row_and_webhook_are_missed(world):
    ready(world)
    world.ls.hooks[LS_ID].clear()
    assert "no webhook" in only(wrong(world))[1]
    world.ls.rows[LS_ID].clear()
    assert "not among its models" in only(wrong(world))[1]


def test_a_webhook_without_header_or_switched_off_is_found(world):
    ready(world)
    hook = world.ls.hooks[LS_ID][0]
    world.ls.hooks[LS_ID][0] = replace(hook, headers={})
    assert "secret header" in only(wrong(world))[1]
    world.ls.hooks[LS_ID][0] = replace(hook, active=False)
    assert "switched off" in only(wrong(world))[1]


def test_a_queue_that_is_not_ours_is_found(world):
    ready(world)
    world.ls.remote[LS_ID] = replace(world.ls.remote[LS_ID], sampling="Sequential sampling")
    assert "the queue is not ours" in only(wrong(world))[1]


def test_label_configs_that_cannot_work_are_told(world):
    ready(world)
    world.ls.config = LabelConfig(None, problem="there is no Image tag")
    assert "<Image" in only(wrong(world))[2]
    world.ls.config = LabelConfig("image", problem="choices are multiple")
    level, what, _ = only(wrong(world))
    assert level == "warn" and "choices are multiple" in what


def test_failed_images_are_counted_with_the_command_that_lists_them(world):
    sync.reconcile(world.services, world.project.id, full=True)
    world.services.tasks.finish(world.project.id, {}, {1: "truncated"})
    ready(world)
    assert "--failed" in only(wrong(world))[2]


def test_a_project_that_is_gone_or_not_connected_is_told(world):
    ready(world)
    assert "check the id" in only(wrong(world, ls_ids=[77]))[2]
    world.ls.add_project(8, 1)
    found = wrong(world, ls_ids=[8])
    assert any("labelqueue connect 8" in cure for cure in found.values())


def test_nothing_connected_says_how_to(tmp_path):
    bare = World(tmp_path)
    bare.jobs.crew.append(WorkerView("w", "here", 1, "cpu", "", 0.0))
    assert "labelqueue connect PROJECT" in only(wrong(bare))[2]


def test_a_row_under_another_of_our_names_is_us(world):
    """(10-C5) A person typed localhost where PUBLIC_URL says 127.0.0.1: doctor said that we were not connected."""
    other = "http://localhost:9090"
    ready(world)
    world.addresses.answers[other] = True
    row, hook = world.ls.rows[LS_ID][0], world.ls.hooks[LS_ID][0]
    world.ls.rows[LS_ID][0] = replace(row, url=other, title="my model")
    world.ls.hooks[LS_ID][0] = replace(hook, url=f"{other}/webhook")
    assert wrong(world) == {}
    world.ls.hooks[LS_ID][0] = replace(hook, url=f"{other}/webhook", headers={})
    assert "secret header" in only(wrong(world))[1]
    world.addresses.answers.clear()
    _, what, cure = only(wrong(world))
    assert "not among its models" in what and "set PUBLIC_URL" in cure and other in cure


def test_another_installation_in_our_place_is_told(world):
    """(10-C5) It answers as LabelQueue does, with another database."""
    ready(world)
    world.addresses.answers[URL] = False
    found = wrong(world)
    assert any("another installation" in what for _, what in found)
    assert any("not among its models" in what for _, what in found)


def test_a_signed_webhook_at_an_old_address_does_not_hide_an_unsigned_one_at_ours(world):
    ready(world)
    (hook,) = world.ls.hooks[LS_ID]
    world.ls.hooks[LS_ID][0] = replace(hook, url="http://old:9090/webhook")
    world.ls.add_webhook(LS_ID, f"{URL}/webhook", {})
    assert "secret header" in only(wrong(world))[1]


def test_a_store_of_which_only_reading_was_tried_is_told_so(world):
    """(10-E4) "can be written" was said of object stores, which nobody had asked."""
    found = diagnose(world.services, reach=reachable, stored="can be read")
    assert "the feature store can be read" in [item.what for item in found]

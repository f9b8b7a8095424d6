"""`connect` and `disconnect`: what they leave in Label Studio and in our tables, however often they run."""

from __future__ import annotations

import pytest

from backend.core.connect import connect, disconnect
from backend.core.domain import LabelConfig
from backend.core.errors import LabelStudioRefused, QueueDown, UnknownProject, UserError
from backend.core.ourselves import SECRET_HEADER
from backend.core.services import Options
from backend.core.sync import reconcile
from tests.backend.world import LS_ID, World

URL = "http://labelqueue:9090"


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path, options=Options(public_url=URL, basic_auth=("ls", "pw")))
    made.ls.add_project(LS_ID, 3)
    return made


def headers(world):
    return [dict(hook.headers) for hook in world.ls.hooks[LS_ID]]


def test_connect_adds_the_row_with_basic_auth_the_secret_header_and_the_first_sync(world):
    done = connect(world.services, LS_ID)
    assert [(row.url, row.title) for row in world.ls.rows[LS_ID]] == [(URL, "LabelQueue")]
    assert world.ls.auths == [("ls", "pw")]
    assert headers(world) == [{SECRET_HEADER: world.services.projects.secret("webhook")}]
    assert world.jobs.names() == ["sync"]
    assert (done.project.ls_id, done.project.config.classes, done.notes) == (LS_ID, ("zero", "one", "two"), ())


def test_connecting_twice_changes_nothing(world):
    connect(world.services, LS_ID)
    rows, hooks = list(world.ls.rows[LS_ID]), list(world.ls.hooks[LS_ID])
    connect(world.services, LS_ID)
    assert (world.ls.rows[LS_ID], world.ls.hooks[LS_ID]) == (rows, hooks)
    assert len(world.services.projects.all()) == 1


def test_an_address_of_old_is_replaced(world):
    connect(world.services, LS_ID, "http://old:9090")
    connect(world.services, LS_ID)
    assert [row.url for row in world.ls.rows[LS_ID]] == [URL]
    assert [hook.url for hook in world.ls.hooks[LS_ID]] == [f"{URL}/webhook"]


def test_another_address_than_the_public_one_survives_the_reconciler(world):
    connect(world.services, LS_ID, "http://tunnel:80/")
    reconcile(world.services, world.project.id, full=True)
    assert [hook.url for hook in world.ls.hooks[LS_ID]] == ["http://tunnel:80/webhook"]


def test_a_webhook_made_by_the_settings_page_gets_the_header(world):
    world.ls.add_webhook(LS_ID, f"{URL}/webhook", {})
    connect(world.services, LS_ID)
    assert headers(world) == [{SECRET_HEADER: world.services.projects.secret("webhook")}]


def test_a_refusal_by_label_studio_passes_on_and_connects_nothing(world):
    world.ls.refuse["add_backend"] = LabelStudioRefused(403, "blocked; set ML_BLOCK_LOCAL_IP=false")
    with pytest.raises(LabelStudioRefused, match="ML_BLOCK_LOCAL_IP"):
        connect(world.services, LS_ID)
    assert world.services.projects.all() == [] and world.ls.hooks == {}


def test_a_project_without_images_is_refused_before_label_studio_is_touched(world):
    world.ls.config = LabelConfig(None, None, None, (), False, "there is no Image tag")
    with pytest.raises(UserError, match="there is no Image tag"):
        connect(world.services, LS_ID)
    assert "add_backend" not in world.ls.calls


def test_boxes_are_taken_with_a_note(world):
    world.ls.config = LabelConfig("image", None, None, (), False, "boxes have no single class")
    assert any("boxes have no single class" in note for note in connect(world.services, LS_ID).notes)


def test_another_backend_is_left_and_named(world):
    world.ls.add_backend(LS_ID, "http://other:9090", "SAM", auth=None, extra_params={})
    notes = connect(world.services, LS_ID).notes
    assert any("SAM at http://other:9090" in note for note in notes) and len(world.ls.rows[LS_ID]) == 2


def test_extra_params_go_to_label_studio_and_act(world):
    connect(world.services, LS_ID, extra_params={"batch_size": 25})
    assert world.ls.extras == [{"batch_size": 25}] and world.project.batch_size == 25
    with pytest.raises(UserError, match="unknown batchsize"):
        connect(world.services, LS_ID, extra_params={"batchsize": 25})


def test_a_dead_queue_is_told_before_anything_is_changed(world):
    world.jobs.down = True
    with pytest.raises(QueueDown):
        connect(world.services, LS_ID)
    assert world.ls.calls == []


def test_disconnect_leaves_nothing_of_ours(world):
    world.ls.add_webhook(LS_ID, "http://other/webhook", {})
    connect(world.services, LS_ID)
    reconcile(world.services, world.project.id, full=True)
    world.embed_all()
    project = world.project.id
    told = disconnect(world.services, LS_ID)
    assert world.ls.rows[LS_ID] == [] and [h.url for h in world.ls.hooks[LS_ID]] == ["http://other/webhook"]
    assert world.services.projects.all() == [] and not world.features.ids(project, 1).size
    assert any("backend" in line for line in told)
    with pytest.raises(UnknownProject):
        disconnect(world.services, LS_ID)

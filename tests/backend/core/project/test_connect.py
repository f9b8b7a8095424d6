"""`connect` and `disconnect`: what they leave in Label Studio and in our tables, however often they run."""

from __future__ import annotations

import pytest

from backend.core.domain import LabelConfig
from backend.core.errors import LabelStudioRefused, QueueDown, UnknownProject, UserError
from backend.core.project.connect import connect, disconnect
from backend.core.project.enroll import enroll
from backend.core.project.ourselves import SECRET_HEADER
from backend.core.services import Options
from backend.core.tasks.sync import reconcile
from tests.backend.world import LS_ID, World
from tests.fakes import CONFIG

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
    world.ls.config = LabelConfig(None, problem="there is no Image tag")
    with pytest.raises(UserError, match="there is no Image tag"):
        connect(world.services, LS_ID)
    assert "add_backend" not in world.ls.calls


def test_boxes_are_taken_with_a_note(world):
    world.ls.config = LabelConfig("image", problem="boxes have no single class")
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


def typed(world, url, title="my model"):
    """A row that a person made on Label Studio's page, with the webhook that goes with it; it answers as us."""
    world.addresses.answers[url] = True
    return world.ls.add_backend(LS_ID, url, title, auth=None, extra_params={})


OTHER = "http://localhost:9090"


def test_a_row_under_another_of_our_names_is_kept_with_its_webhook(world):
    """(10-C5) `http://localhost:PORT` beside PUBLIC_URL: a second row and a second webhook were made."""
    typed(world, OTHER)
    done = connect(world.services, LS_ID)
    assert [row.url for row in world.ls.rows[LS_ID]] == [OTHER] and done.backend.url == OTHER and done.notes == ()
    assert [hook.url for hook in world.ls.hooks[LS_ID]] == [f"{OTHER}/webhook"]
    assert headers(world) == [{SECRET_HEADER: world.services.projects.secret("webhook")}]
    assert set(world.addresses.asked) <= {OTHER}
    disconnect(world.services, LS_ID)
    assert world.ls.rows[LS_ID] == world.ls.hooks[LS_ID] == []


def test_a_given_address_replaces_our_row_under_another_name(world):
    typed(world, OTHER)
    connect(world.services, LS_ID, URL)
    assert [row.url for row in world.ls.rows[LS_ID]] == [URL]
    assert [hook.url for hook in world.ls.hooks[LS_ID]] == [f"{URL}/webhook"]


def test_another_installation_of_ours_is_left_alone(world):
    """(10-C5) It has our title, but does not know our secret."""
    theirs = "http://10.0.0.7:9090"
    world.ls.add_backend(LS_ID, theirs, "LabelQueue", auth=None, extra_params={})
    world.addresses.answers[theirs] = False
    notes = connect(world.services, LS_ID).notes
    assert any(theirs in note for note in notes)
    disconnect(world.services, LS_ID)
    assert [row.url for row in world.ls.rows[LS_ID]] == [theirs]
    assert [(hook.url, dict(hook.headers)) for hook in world.ls.hooks[LS_ID]] == [(f"{theirs}/webhook", {})]


def synced(world):
    connect(world.services, LS_ID)
    reconcile(world.services, world.project.id, full=True)
    return world


def test_the_reconciler_signs_the_webhook_under_the_name_that_was_typed_and_makes_no_other(world):
    """(10-C5)"""
    enroll(world.services, world.ls.remote[LS_ID], CONFIG)
    typed(world, OTHER)
    reconcile(world.services, world.project.id, full=True)
    assert [hook.url for hook in world.ls.hooks[LS_ID]] == [f"{OTHER}/webhook"]
    assert headers(world) == [{SECRET_HEADER: world.services.projects.secret("webhook")}]


@pytest.mark.parametrize("answers", [True, None])
def test_of_two_webhooks_of_ours_the_one_of_our_row_stays_and_the_other_goes_only_if_it_answers(world, answers):
    """(10-C5)"""
    secret = {SECRET_HEADER: world.services.projects.secret("webhook")}
    enroll(world.services, world.ls.remote[LS_ID], CONFIG)
    world.ls.add_webhook(LS_ID, f"{URL}/webhook", secret)  # an older version made it
    world.ls.add_webhook(LS_ID, "http://elsewhere/webhook", {})
    world.ls.add_webhook(LS_ID, "http://elsewhere/else", {})
    typed(world, OTHER)
    if answers:
        world.addresses.answers[URL] = True
    for _ in range(2):
        reconcile(world.services, world.project.id, full=True)
    found = {hook.url: dict(hook.headers) for hook in world.ls.hooks[LS_ID]}
    foreign = {"http://elsewhere/webhook": {}, "http://elsewhere/else": {}}
    assert found == {f"{OTHER}/webhook": secret} | foreign | ({} if answers else {f"{URL}/webhook": secret})
    assert "http://elsewhere/else" not in world.addresses.asked


def test_a_webhook_that_is_gone_is_made_where_label_studio_reaches_us(world):
    enroll(world.services, world.ls.remote[LS_ID], CONFIG)
    typed(world, OTHER)
    world.ls.hooks[LS_ID].clear()
    reconcile(world.services, world.project.id, full=True)
    assert [hook.url for hook in world.ls.hooks[LS_ID]] == [f"{OTHER}/webhook"]


def test_headers_that_a_person_added_to_our_webhook_stay(world):
    synced(world)
    (hook,) = world.ls.hooks[LS_ID]
    world.ls.set_webhook_headers(hook.id, {"X-Proxy": "pass", SECRET_HEADER: "old"})
    reconcile(world.services, world.project.id, full=True)
    assert headers(world) == [{"X-Proxy": "pass", SECRET_HEADER: world.services.projects.secret("webhook")}]


def test_a_thousand_foreign_webhooks_are_not_all_asked(world):
    synced(world)
    for number in range(1000):
        world.ls.add_webhook(LS_ID, f"http://h{number}/webhook", {})
    world.addresses.asked.clear()
    reconcile(world.services, world.project.id, full=True)
    assert len(world.addresses.asked) <= 20


def test_a_second_webhook_at_the_same_address_goes(world):
    synced(world)
    world.ls.add_webhook(LS_ID, f"{URL}/webhook/", {})
    reconcile(world.services, world.project.id, full=True)
    assert headers(world) == [{SECRET_HEADER: world.services.projects.secret("webhook")}]

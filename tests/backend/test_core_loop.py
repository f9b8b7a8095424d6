"""The loop from a connected project to a served order, over fakes: what each use case promises."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from backend.core import cycle, due, embed, publish, strategy, sync, tuning
from backend.core.annotations import regions
from backend.core.domain import RemoteTask, Strategy
from backend.core.errors import BadSetting, UserError
from backend.core.predict import predict
from backend.core.register import TITLE, register
from tests.backend.world import KEY, LS_ID, NAMES, World
from tests.fakes import CONFIG, LABEL_CONFIG


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


# --- registering -----------------------------------------------------------------------------------------------


def test_setup_registers_the_project_and_asks_for_a_sync_once(world: World) -> None:
    assert register(world.services, KEY, LABEL_CONFIG) == TITLE
    register(world.services, KEY, LABEL_CONFIG)
    assert world.asked() == ["sync"]
    assert world.project.strategy == Strategy("auto", {})


@pytest.mark.parametrize(
    "extra",
    [
        {"strategy": "random", "batch_size": 3},
        '{"strategy": "random", "batch_size": 3}',
        '{"batch_size":3,"strategy":"random"} ',
    ],
)
def test_extra_params_switch_the_strategy_as_text_or_object(world: World, extra: object) -> None:
    register(world.services, KEY, LABEL_CONFIG, extra)
    assert (world.project.strategy.name, world.project.batch_size) == ("random", 3)


def test_seeing_the_same_extra_params_again_does_not_undo_a_switch_made_elsewhere(world: World) -> None:
    register(world.services, KEY, LABEL_CONFIG, '{"strategy": "random"}')
    strategy.switch(world.services, world.project.id, "coreset")
    register(world.services, KEY, LABEL_CONFIG, '{"strategy": "random"}')
    assert world.project.strategy.name == "coreset"
    register(world.services, KEY, LABEL_CONFIG, '{"strategy": "typiclust"}')
    assert world.project.strategy.name == "typiclust"


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ("{strategy: x}", "no JSON"),
        ('{"strategy": "margn"}', "known: "),
        ('{"strategy": "random", "params": {"sed": 1}}', "no parameter sed"),
        ('{"stratgy": "random"}', "unknown stratgy"),
        ("[1]", "JSON object"),
        ('{"batch_size": 0}', "batch_size must be a positive number"),
        ('{"batch_size": true}', "batch_size must be a positive number"),
        ('{"preannotate": 1}', "true or false"),
    ],
)
def test_wrong_extra_params_say_what_is_wrong_and_change_nothing(world: World, extra: str, told: str) -> None:
    register(world.services, KEY, LABEL_CONFIG)
    with pytest.raises(BadSetting, match=told):
        register(world.services, KEY, LABEL_CONFIG, extra)
    assert (world.project.strategy.name, world.project.batch_size) == ("auto", 10)


def test_a_project_refused_for_its_extra_params_is_not_connected(world: World) -> None:
    with pytest.raises(BadSetting):
        register(world.services, KEY, LABEL_CONFIG, '{"strategy": "margn"}')
    assert world.services.projects.all() == []


@pytest.mark.parametrize("key", ["", "x.1", "-3", "../etc"])
def test_a_malformed_project_key_is_refused(world: World, key: str) -> None:
    with pytest.raises(BadSetting, match="form <id>"):
        register(world.services, key, LABEL_CONFIG)


# --- embedding -------------------------------------------------------------------------------------------------


def test_all_tasks_are_embedded_and_a_broken_image_is_listed_with_its_reason(world: World) -> None:
    world.ls.add_project(LS_ID, 20)
    world.ls.put(LS_ID, [RemoteTask(7, "broken.png", (), 10.0), RemoteTask(9, None, (), 10.0)])
    register(world.services, KEY, LABEL_CONFIG)
    sync.reconcile(world.services, world.project.id, full=True)
    world.embed_all()
    counts = world.services.tasks.counts(world.project.id)
    assert (counts.tasks, counts.embedded, counts.failed, counts.pending) == (20, 18, 2, 0)
    failed = world.services.tasks.list(world.project.id, state="failed")
    assert [task.id for task in failed] == [7, 9]
    assert failed[0].reason == "the image is truncated"
    assert "image" in failed[1].reason


def test_a_worker_that_dies_midway_loses_at_most_a_chunk_and_nothing_is_stored_twice(world: World) -> None:
    project = world.connect(20)
    world.embedder.die_after = 6  # chunks of 4: one is stored, two images are lost
    with pytest.raises(RuntimeError):
        embed.embed(world.services, project.id, "worker-1")
    world.embedder.die_after = None
    world.embed_all()
    assert sorted(world.features.appended) == list(range(1, 21))
    assert world.services.tasks.counts(project.id).embedded == 20


def test_a_chunk_that_was_stored_but_not_marked_is_recognised(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    project = world.connect(8)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt  # no clean-up of ours runs after kill -9: the lease stays

    with monkeypatch.context() as patch:
        patch.setattr(world.services.tasks, "finish", lambda p, done, bad: killed() if done else None)
        patch.setattr(world.services.tasks, "release", lambda p, owner: None)
        with pytest.raises(KeyboardInterrupt):
            embed.embed(world.services, project.id, "worker-1")
    stored = list(world.features.appended)
    assert len(stored) == 4
    assert embed.embed(world.services, project.id, "worker-2") == 0  # leases of the dead still stand
    world.state.tasks.release(project.id, "worker-1")
    world.embed_all()
    assert sorted(world.features.appended) == list(range(1, 9))
    assert world.services.tasks.counts(project.id).embedded == 8


def test_an_error_that_is_not_the_images_fault_never_marks_tasks_as_deadly(world: World) -> None:
    project = world.connect(8)
    world.embedder.die_after = 0
    for _ in range(embed.MOST_CLAIMS + 2):
        with pytest.raises(RuntimeError):
            embed.embed(world.services, project.id, "worker-1")
    world.embedder.die_after = None
    world.embed_all()
    assert world.services.tasks.counts(project.id).failed == 0


def test_another_backbone_starts_a_new_version_instead_of_mixing(world: World) -> None:
    project = world.connect(8)
    world.embed_all()
    world.embedder.name = "other"
    world.ls.put(LS_ID, [RemoteTask(100, "new.png", (), 20.0)])
    sync.reconcile(world.services, project.id)
    world.embed_all()
    assert world.project.features_version == project.features_version + 1
    assert len(world.features.load(project.id, world.project.features_version).task_ids) == 9
    assert len(world.features.load(project.id, project.features_version).task_ids) == 8


# --- ranking and publishing ------------------------------------------------------------------------------------


def test_the_first_ranking_becomes_the_order_that_label_studio_serves(world: World) -> None:
    project = world.connect(30)
    world.embed_all()
    order = world.rank()
    ranking = world.services.rankings.latest(project.id)
    assert ranking is not None
    assert order == [pick.task_id for pick in ranking.picks]
    assert len(set(order)) == 30
    assert all(pick.note for pick in ranking.picks)
    assert {"load", "learn", "rank"} == set(ranking.timings)


def test_the_next_batch_is_chosen_as_a_batch_and_not_as_a_part_of_the_whole_head(world: World) -> None:
    project = world.connect(90)
    world.services.projects.update(project.id, audit_share=0.0, batch_size=3, head_size=60)
    world.embed_all()
    strategy.switch(world.services, project.id, "kmeans")
    order = world.rank()
    assert len(set(order)) == 60
    assert {task % 3 for task in order[:3]} == {0, 1, 2}  # three clusters, one of each


def test_labels_train_a_head_whose_guesses_are_right_and_reach_label_studio(world: World) -> None:
    project = world.connect(60)
    world.embed_all()
    world.label(*range(1, 13))
    order = world.rank()
    assert not set(order) & set(range(1, 13))
    live = world.services.rankings.live(project.id)
    assert live is not None
    guesses = {p.task_id: p.guess for p in world.ls.predictions[LS_ID, live.model_version]}
    shown = {task: guess.choice for task, guess in guesses.items() if guess}
    assert shown == {task: NAMES[task % 3] for task in shown}
    assert set(guesses) - set(shown) <= world.services.tasks.audit(project.id)
    head = world.services.rankings.latest_head(project.id)
    assert head is not None
    assert head.report["accuracy"] == 1.0


def test_the_report_names_the_classes_that_are_confused(world: World) -> None:
    project = world.connect(60)
    world.embed_all()
    for task in range(1, 31):  # every fifth one is labeled wrongly
        world.annotate(task, NAMES[(task + (task % 5 == 0)) % 3])
    sync.reconcile(world.services, project.id)
    world.rank()
    head = world.services.rankings.latest_head(project.id)
    assert head is not None
    assert head.report["confusion"]
    assert {pair["label"] for pair in head.report["confusion"]} <= set(NAMES)
    assert 0 < head.report["low"] < head.report["accuracy"] < head.report["high"] < 1
    assert set(head.report["recall"]) == set(NAMES)


def test_without_preannotation_the_forms_stay_empty(world: World) -> None:
    project = world.connect(60)
    world.embed_all()
    world.services.projects.update(project.id, preannotate=False)
    world.label(*range(1, 13))
    world.rank()
    live = world.services.rankings.live(project.id)
    assert live is not None
    assert {p.guess for p in world.ls.predictions[LS_ID, live.model_version]} == {None}
    assert all(item["result"] == [] for item in predict(world.services, KEY, [20, 21]))


@pytest.mark.parametrize("step", ["import_predictions", "set_queue", "project"])
def test_a_publication_that_breaks_leaves_the_old_order_and_is_retried_under_a_new_version(
    world: World, step: str
) -> None:
    project = world.connect(30)
    world.embed_all()
    before = world.rank()
    world.label(1, 2, 3)
    world.asked()
    world.ls.fail_on = {step}
    world.rank()
    if step != "project":  # the PATCH itself had gone through there
        assert world.served() == [task for task in before if task not in (1, 2, 3)]
    due.nudge(world.services, world.project)
    assert "publish" in world.asked()
    publish.publish(world.services, project.id)
    ranking, live = world.services.rankings.latest(project.id), world.services.rankings.live(project.id)
    assert ranking and live
    assert live.ranking == ranking.id
    assert world.served() == [pick.task_id for pick in ranking.picks]
    versions = [item.model_version for item in world.services.rankings.publications(project.id)]
    assert len(set(versions)) == len(versions) == 3


def test_tidying_keeps_the_live_version_and_the_one_before(world: World) -> None:
    project = world.connect(30)
    world.embed_all()
    for task in range(1, 5):
        world.label(task)
        world.rank()
    publish.tidy(world.services, project.id)
    ids = [item.model_version for item in world.services.rankings.publications(project.id, ("live", "retired"))]
    assert len(ids) == 2
    assert set(world.ls.versions(LS_ID)) == set(ids)
    assert publish.tidy(world.services, project.id) == 0


def test_a_queue_that_somebody_reset_is_set_again(world: World) -> None:
    project = world.connect(30)
    world.embed_all()
    order = world.rank()
    world.ls.remote[LS_ID] = replace(world.ls.remote[LS_ID], sampling="Uniform sampling", model_version="LabelQueue")
    sync.reconcile(world.services, project.id)
    assert world.served() == order


def test_predictions_that_somebody_deleted_are_published_anew(world: World) -> None:
    project = world.connect(30)
    world.embed_all()
    order = world.rank()
    world.ls.predictions.clear()
    world.ls.remote[LS_ID] = replace(world.ls.remote[LS_ID], model_version="")
    sync.reconcile(world.services, project.id)
    assert "publish" in world.asked()
    publish.publish(world.services, project.id)
    assert world.served() == order


def test_a_label_that_the_config_no_longer_knows_is_not_learnt_nor_imported(world: World) -> None:
    project = world.connect(60)
    world.embed_all()
    world.label(*range(1, 13))
    world.annotate(13, "renamed")
    sync.reconcile(world.services, project.id)
    assert 13 not in world.rank()


def test_a_fully_labeled_project_ends_without_an_error(world: World) -> None:
    project = world.connect(6)
    world.embed_all()
    world.rank()
    world.label(*range(1, 7))
    assert cycle.cycle(world.services, project.id, "test") is None
    world.asked()
    due.nudge(world.services, world.project)
    assert world.asked() == []


def test_a_strategy_that_needs_probabilities_starts_cold_without_labels(world: World) -> None:
    world.connect(30)
    world.embed_all()
    strategy.switch(world.services, world.project.id, "margin")
    assert len(world.rank()) == 30


# --- what is due -----------------------------------------------------------------------------------------------


def test_a_learning_round_is_due_after_batch_size_labels_and_not_before(world: World) -> None:
    project = world.connect(60)
    world.embed_all()
    world.rank()
    world.asked()
    world.label(*range(1, 10))
    assert "cycle" not in world.asked()
    world.label(10)
    assert "cycle" in world.asked()
    assert world.project.id == project.id


def test_deleted_and_changed_annotations_count_as_changes(world: World) -> None:
    project = world.connect(60)
    world.embed_all()
    world.label(*range(1, 11))
    world.rank()
    world.asked()
    for task in range(1, 11):
        old = world.ls.items[LS_ID][task]
        world.ls.put(LS_ID, [replace(old, annotations=(), updated_at=world.clock.time)])
    sync.reconcile(world.services, project.id)
    assert "cycle" in world.asked()
    assert world.services.tasks.counts(project.id).labeled == 0


def test_rounds_keep_their_minimum_interval(world: World) -> None:
    project = world.connect(60)
    world.services.projects.update(project.id, min_interval=1000.0)
    world.embed_all()
    world.rank()
    world.asked()
    world.label(*range(1, 21))
    assert "cycle" not in world.asked()
    world.clock.time += 1000.0
    due.nudge(world.services, world.project)
    assert "cycle" in world.asked()


def test_the_tick_finds_what_no_event_told(world: World) -> None:
    world.connect(30)
    world.asked()
    due.tick(world.services)
    assert set(world.asked()) >= {"reconcile", "embed"}


def test_tasks_imported_later_are_embedded_and_ranked(world: World) -> None:
    project = world.connect(30)
    world.embed_all()
    world.rank()
    world.ls.put(LS_ID, [RemoteTask(100 + n, f"/data/new{n}.png", (), 50.0) for n in range(5)])
    sync.reconcile(world.services, project.id)
    world.embed_all()
    world.asked()
    due.nudge(world.services, world.project)
    assert "cycle" in world.asked()
    assert {100, 101, 102, 103, 104} < set(world.rank())


def test_tasks_deleted_in_label_studio_leave_the_pool(world: World) -> None:
    project = world.connect(30)
    world.embed_all()
    world.ls.drop(LS_ID, [3, 4])
    sync.reconcile(world.services, project.id)
    assert not {3, 4} & set(world.rank())
    assert world.services.tasks.counts(project.id).tasks == 28


def test_a_changed_image_is_embedded_again(world: World) -> None:
    project = world.connect(10)
    world.embed_all()
    world.ls.put(LS_ID, [RemoteTask(4, "/data/other.png", (), 99.0)])
    sync.reconcile(world.services, project.id)
    world.embed_all()
    assert world.features.appended.count(4) == 2


def test_the_webhook_gets_our_secret_and_only_ours(world: World) -> None:
    world.ls.add_project(LS_ID, 3)
    world.ls.add_webhook(LS_ID, "http://elsewhere/webhook", {})
    world.ls.add_webhook(LS_ID, "http://127.0.0.1:9090/webhook", {})
    register(world.services, KEY, LABEL_CONFIG)
    sync.reconcile(world.services, world.project.id, full=True)
    other, ours = world.ls.webhooks(LS_ID)
    assert other.headers == {}
    assert ours.headers == {sync.SECRET_HEADER: world.services.projects.secret("webhook")}


# --- predict ---------------------------------------------------------------------------------------------------


def test_predict_answers_each_task_in_order_and_agrees_with_the_queue(world: World) -> None:
    project = world.connect(60)
    world.embed_all()
    world.services.projects.update(project.id, head_size=10)
    world.label(*range(1, 13))
    order = world.rank()
    asked = [999, order[3], order[0], 50, order[3]]
    items = predict(world.services, KEY, asked)
    assert len(items) == 5
    assert items[2]["score"] < items[1]["score"] == items[4]["score"] < 1.0
    assert items[0] == {"result": [], "score": 2.0, "model_version": items[1]["model_version"]}
    live = world.services.rankings.live(project.id)
    assert live is not None
    assert items[0]["model_version"] == live.model_version
    guess = world.features.read_guesses(project.id, [order[0]])[order[0]]
    assert items[2]["result"] == regions(CONFIG, guess)


def test_predict_for_a_project_that_never_connected_is_the_callers_error(world: World) -> None:
    with pytest.raises(UserError, match="not connected"):
        predict(world.services, "77.1", [1])


def test_a_switched_strategy_asks_for_a_round_and_a_bad_one_keeps_the_old(world: World) -> None:
    project = world.connect(10)
    world.asked()
    strategy.switch(world.services, project.id, "coreset")
    assert world.asked() == ["cycle"]
    with pytest.raises(BadSetting, match="known: "):
        strategy.switch(world.services, project.id, "nonsense")
    assert world.project.strategy.name == "coreset"


@pytest.mark.parametrize(
    ("name", "selector", "renewal", "calibrate"),
    [
        ("asvp-margin", "margin", "auto", False),
        ("svpp-margin", "margin", "off", False),
        ("activedc", "activeft", "auto", True),
        ("badge", "badge", None, False),
    ],
)
def test_a_preset_sets_selector_renewal_and_calibration(
    world: World, name: str, selector: str, renewal: str | None, calibrate: bool
) -> None:
    project = world.connect(10)
    strategy.switch(world.services, project.id, name)
    after = world.project
    assert (after.strategy.name, after.renewal, after.calibrate) == (selector, renewal, calibrate)


def test_a_preset_in_the_extra_params_acts_as_one_given_by_command(world: World) -> None:
    world.connect(10)
    register(world.services, KEY, LABEL_CONFIG, '{"strategy": "activedc"}')
    assert (world.project.strategy.name, world.project.renewal, world.project.calibrate) == ("activeft", "auto", True)


def test_a_plain_strategy_gives_back_what_the_preset_before_it_took(world: World) -> None:
    project = world.connect(10)
    tuning.change(world.services, project, {"renewal": "suggest"})
    for name in ("asvp-margin", "activedc", "kmeans"):
        strategy.switch(world.services, project.id, name)
    assert (world.project.renewal, world.project.calibrate) == ("suggest", False)


def test_what_a_person_sets_under_a_preset_stays_when_the_preset_goes(world: World) -> None:
    project = world.connect(10)
    strategy.switch(world.services, project.id, "activedc")
    tuning.change(world.services, world.project, {"calibrate": "on"})
    strategy.switch(world.services, project.id, "margin")
    assert (world.project.renewal, world.project.calibrate) == (None, True)


def test_new_parameters_alone_leave_the_presets_settings(world: World) -> None:
    world.connect(10)
    register(world.services, KEY, LABEL_CONFIG, '{"strategy": "asvp-badge"}')
    register(world.services, KEY, LABEL_CONFIG, '{"params": {}, "batch_size": 5}')
    assert (world.project.strategy.name, world.project.renewal, world.project.batch_size) == ("badge", "auto", 5)


def test_a_setting_beside_the_preset_in_the_extra_params_is_a_persons(world: World) -> None:
    world.connect(10)
    register(world.services, KEY, LABEL_CONFIG, '{"strategy": "asvp-badge", "renewal": "suggest"}')
    register(world.services, KEY, LABEL_CONFIG, '{"strategy": "badge"}')
    assert world.project.renewal == "suggest"

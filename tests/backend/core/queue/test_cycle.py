"""A learning round over fakes: labels become a head, an order, and Label Studio's queue."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backend.core.project import strategy
from backend.core.queue import cycle, due, publish
from backend.core.queue.predict import predict
from backend.core.tasks import sync
from tests.backend.world import KEY, LS_ID, NAMES, World


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
    world.set(audit_share=0.0, batch_size=3, head_size=60)
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
    assert head.report.accuracy == 1.0


def test_the_report_names_the_classes_that_are_confused(world: World) -> None:
    project = world.connect(60)
    world.embed_all()
    for task in range(1, 31):  # every fifth one is labeled wrongly
        world.annotate(task, NAMES[(task + (task % 5 == 0)) % 3])
    sync.reconcile(world.services, project.id)
    world.rank()
    head = world.services.rankings.latest_head(project.id)
    assert head is not None
    assert head.report.confusion
    assert {pair.label for pair in head.report.confusion} <= set(NAMES)
    assert head.report.accuracy
    assert 0 < head.report.low < head.report.accuracy < head.report.high < 1
    assert set(head.report.recall) == set(NAMES)


def test_without_preannotation_the_forms_stay_empty(world: World) -> None:
    project = world.connect(60)
    world.embed_all()
    world.set(preannotate=False)
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


def test_features_that_are_gone_from_the_store_are_made_again(world: World) -> None:
    """(10-E4) A deleted folder of features left the project without an order for ever, and nobody said why."""
    world.connect(30)
    world.embed_all()
    world.features.stored.clear()
    world.asked()
    assert cycle.cycle(world.services, world.project.id, "test") is None
    assert world.services.tasks.counts(world.project.id).pending == 30 and "embed" in world.asked()
    world.embed_all()
    assert world.rank()

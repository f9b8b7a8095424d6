"""Whatever people do to the predictions in Label Studio, the next look finds it and the order comes back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backend.core.domain import Prediction
from backend.core.project.doctor import diagnose
from backend.core.project.status import status
from backend.core.queue import publish
from backend.core.queue.predict import predict
from backend.core.tasks import sync
from tests.backend.world import KEY, LS_ID, World


@pytest.fixture
def order(world: World) -> list[int]:
    """A project of 30 tasks, all of them in the live order."""
    world.connect(30)
    world.embed_all()
    served = world.rank()
    look(world)  # the first one lists all tasks; later ones are plain
    return served


def version(world: World) -> str:
    return world.ls.remote[LS_ID].model_version


def look(world: World, seconds: float = 61.0) -> None:
    world.clock.time += seconds
    sync.reconcile(world.services, world.project.id)


def told(world: World) -> dict[str, str]:
    found = diagnose(world.services, [LS_ID], reach=lambda _: "")
    return {item.what: item.level for item in found if "predictions" in item.what}


def test_a_look_at_a_whole_queue_imports_nothing_and_asks_one_small_question(world: World, order: list[int]) -> None:
    before, world.ls.calls[:] = version(world), []
    look(world)
    assert world.ls.calls == ["project", "tasks", "versions"]
    assert (version(world), world.served()) == (before, order)
    assert status(world.services, world.project).healed is None


def test_all_predictions_deleted_in_the_data_manager_come_back_in_order(world: World, order: list[int]) -> None:
    """(10-C1) Label Studio keeps model_version and sampling, and serves at random; nothing healed it."""
    before = version(world)
    world.ls.delete_predictions(LS_ID)
    assert (version(world), world.served()) == (before, [])
    [(what, level)] = told(world).items()
    assert level == "fail" and "all 30 predictions" in what
    look(world)
    assert world.served() == order
    assert version(world) == f"{before}-2"
    seen = status(world.services, world.project).healed
    assert seen is not None and (seen.found, seen.at) == (
        f"all 30 predictions of {before} were gone from Label Studio",
        world.clock.time,
    )
    [(what, level)] = told(world).items()
    assert level == "warn" and "published again" in what and "0 s ago" in what
    world.clock.time += 100_000.0
    assert told(world) == {}


def test_some_predictions_deleted_come_back_in_order(world: World, order: list[int]) -> None:
    """(10-C1) The tasks without one would have been served last, at random."""
    world.ls.delete_predictions(LS_ID, order[3:8])
    look(world)
    assert world.served() == order
    seen = status(world.services, world.project).healed
    assert seen is not None and "5 of 30 predictions" in seen.found


def test_predictions_that_somebody_imported_under_our_version_are_left_behind(world: World, order: list[int]) -> None:
    """(10-C1) The lowest score wins: theirs would be served among the first."""
    rivals = [Prediction(task, 0.0, None) for task in order[-3:]]
    world.ls.import_predictions(LS_ID, world.ls.config, version(world), rivals)
    assert world.served() != order
    look(world)
    assert world.served() == order
    seen = status(world.services, world.project).healed
    assert seen is not None and "held 33 predictions" in seen.found and "made 30" in seen.found


def test_a_version_imported_twice_is_published_once_more(world: World, order: list[int]) -> None:
    """(10-C1) An import that took effect though its answer was lost, say."""
    found = world.ls.predictions[LS_ID, version(world)]
    found += list(found)
    look(world)
    assert len(world.ls.predictions[LS_ID, version(world)]) == 30


def test_deleted_tasks_take_their_predictions_along_and_nothing_is_imported(world: World, order: list[int]) -> None:
    """(10-C1) What must be there is counted among the tasks that are left."""
    before = version(world)
    world.ls.drop(LS_ID, order[:2])
    look(world)
    assert (version(world), world.served()) == (before, order[2:])
    assert status(world.services, world.project).healed is None


def test_tasks_deleted_amid_the_look_are_no_damage(world: World, order: list[int]) -> None:
    """(10-C1) Our tables know of them a moment later; Label Studio is asked before anything is imported."""
    before = version(world)
    world.ls.at["versions"] = lambda: world.ls.drop(LS_ID, order[:2])
    look(world)
    assert version(world) == before


def test_a_queue_that_changes_while_it_is_counted_is_judged_at_the_next_look(world: World, order: list[int]) -> None:
    before = version(world)
    world.ls.delete_predictions(LS_ID, order[:2])
    world.ls.at["task_ids"] = lambda: world.ls.delete_predictions(LS_ID, order[2:4])
    look(world)
    assert version(world) == before
    look(world)
    assert world.served() == order


def test_tasks_moved_to_another_project_are_no_longer_counted(world: World, order: list[int]) -> None:
    """(10-C1) Their predictions stay counted in the old one."""
    world.ls.move(LS_ID, order[:2])
    look(world)
    assert world.served() == order[2:]
    after = version(world)
    look(world)
    assert version(world) == after


def test_predictions_of_tasks_that_are_being_deleted_are_no_damage(world: World, order: list[int]) -> None:
    """(10-C1) Label Studio unlinks the tasks first and deletes their predictions in the background: we published again
    for nothing, and said that it held 30 predictions where we made 28."""
    before = version(world)
    world.ls.move(LS_ID, order[:2])  # as far as the request itself goes
    look(world)
    assert version(world) == before and world.served() == order[2:]
    assert status(world.services, world.project).healed is None and told(world) == {}
    world.ls.delete_predictions(LS_ID, order[:1])
    look(world)
    world.ls.delete_predictions(LS_ID, order[:2])
    look(world)
    assert version(world) == before and told(world) == {}


def test_predictions_that_are_lost_while_tasks_are_being_deleted_come_back(world: World, order: list[int]) -> None:
    """(10-C1) As soon as the background is done, the count tells."""
    world.ls.move(LS_ID, order[:2])
    world.ls.delete_predictions(LS_ID, order[:5])
    look(world)
    assert world.served() == order[2:]
    seen = status(world.services, world.project).healed
    assert seen is not None and seen.found.startswith("3 of 28 predictions of ")


def test_the_doctor_asks_label_studio_before_it_calls_the_order_damaged(world: World, order: list[int]) -> None:
    """(10-C1) Our tables learn of deleted tasks at the next look only."""
    world.ls.drop(LS_ID, order[:2])
    assert told(world) == {}


def test_somebody_who_deletes_again_and_again_costs_one_import_a_look(world: World, order: list[int]) -> None:
    """(10-C1) Looks that events ask for come close together; healing does not."""
    world.ls.calls.clear()
    for second in range(1, 181):
        world.ls.delete_predictions(LS_ID)
        look(world, 1.0)
        assert world.ls.calls.count("import_predictions") <= 1 + second // 60
    assert world.ls.calls.count("import_predictions") == 3
    look(world)
    assert world.served() == order


def test_the_damaged_version_is_deleted_and_the_one_before_is_kept(world: World, order: list[int]) -> None:
    first = version(world)
    world.label(order[0])
    world.rank()
    damaged = version(world)
    world.ls.delete_predictions(LS_ID, order[5:8])
    look(world)
    publish.tidy(world.services, world.project.id)
    assert version(world) == f"{damaged}-2"
    assert set(world.ls.versions(LS_ID)) == {first, f"{damaged}-2"}
    states = {item.model_version: item.state for item in world.services.rankings.publications(world.project.id)}
    assert states == {first: "retired", damaged: "deleted", f"{damaged}-2": "live"}


def test_what_is_fetched_by_hand_is_not_taken_for_the_queues(world: World, order: list[int]) -> None:
    """(10-C1) Label Studio asks for a task that is opened, and stores the answer: it was one more of our version."""
    before = version(world)
    for item in predict(world.services, KEY, [3, 4]):
        world.ls.import_predictions(LS_ID, world.ls.config, item["model_version"], [Prediction(3, 0.5, None)])
    look(world)
    assert (version(world), world.served()) == (before, order)
    for label in order[:3]:
        world.label(label)
        world.rank()
    publish.tidy(world.services, world.project.id)
    assert not [name for name in world.ls.versions(LS_ID) if name.endswith("-guesses")]


def test_a_healing_that_fails_shows_as_a_problem_and_is_tried_again(world: World, order: list[int]) -> None:
    world.ls.delete_predictions(LS_ID)
    world.ls.fail_on = {"set_queue"}
    with pytest.raises(Exception, match="does not answer"):
        look(world)
    seen = status(world.services, world.project)
    assert seen.healed is None and seen.problem is not None and "does not answer" in seen.problem.reason
    look(world)
    assert world.served() == order
    assert status(world.services, world.project).problem is None


def test_a_queue_that_was_reset_and_emptied_comes_back(world: World, order: list[int]) -> None:
    world.ls.predictions.clear()
    world.ls.remote[LS_ID] = replace(world.ls.remote[LS_ID], model_version="")
    look(world)
    assert world.served() == order


def test_a_publication_from_before_the_upgrade_is_judged_by_its_picks(world: World, order: list[int]) -> None:
    """(10-C1) It has no record of what was imported."""
    from sqlalchemy import text

    with world.state.engine.begin() as connection:
        connection.execute(text("UPDATE publications SET imported = NULL"))
    before = version(world)
    look(world)
    assert version(world) == before
    world.ls.delete_predictions(LS_ID, order[:1])
    look(world)
    assert world.served() == order

"""`status` and `queue`: the figures that people see are the state's."""

from __future__ import annotations

import json

import pytest

from backend.core.domain import JobView, LearningReport
from backend.core.project.status import queue, status
from tests.backend.world import LS_ID, World


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    made.connect(30)
    return made


def test_a_fresh_project_has_counts_and_no_ranking(world):
    seen = status(world.services, world.project)
    assert (seen.project, seen.tasks, seen.pending, seen.embedded, seen.labeled) == (LS_ID, 30, 30, 0, 0)
    assert seen.classes == {"zero": 0, "one": 0, "two": 0}
    assert (seen.live, seen.accuracy, seen.problem, seen.eta) == (None, None, None, None)
    assert queue(world.services, world.project) == []


def test_a_live_ranking_shows_its_age_and_what_is_left(world):
    world.embed_all()
    served = world.rank()
    seen = status(world.services, world.project)
    assert seen.live is not None and seen.live.size == seen.live.remaining == len(served)
    assert seen.live.age == pytest.approx(10.0, abs=1.0)
    assert seen.live.version == world.ls.remote[LS_ID].model_version
    world.label(*served[:3])
    after = status(world.services, world.project)
    assert (after.live.remaining, after.labeled, sum(after.classes.values())) == (len(served) - 3, 3, 3)


def test_the_queue_lists_what_label_studio_serves_next_in_that_order(world):
    world.embed_all()
    served = world.rank()
    world.label(*served[:2])
    items = queue(world.services, world.project, limit=5)
    assert [item.task for item in items] == served[2:7] == world.served()[:5]
    assert [item.position for item in items] == [1, 2, 3, 4, 5]
    assert items[0].image == f"/data/upload/{items[0].task - 1}.png"
    assert queue(world.services, world.project, limit=0) == []


def test_accuracy_is_the_latest_heads(world):
    report = LearningReport(accuracy=0.75, low=0.6, high=0.9)
    world.services.rankings.add_head(world.project.id, 1, "x", ("zero", "one"), report, 1.0)
    seen = status(world.services, world.project).accuracy
    assert (seen.value, seen.low, seen.high) == (0.75, 0.6, 0.9)


def test_a_failed_publication_shows_until_one_is_live(world):
    world.embed_all()
    world.ls.fail_on.add("set_queue")
    world.rank()
    assert "does not answer" in status(world.services, world.project).problem.reason
    world.rank()
    assert status(world.services, world.project).problem is None


def test_running_jobs_give_an_eta_and_other_projects_jobs_do_not_show(world):
    project = world.project.id
    world.jobs.views += [
        JobView("e", "embed", project, "running", 10, 30, 5.0, 0.0, ""),
        JobView("q", "embed", project, "queued", 0, 0, 0.0, None, ""),
        JobView("o", "embed", project + 1, "running", 0, 9, 99.0, 0.0, ""),
    ]
    seen = status(world.services, world.project)
    assert ([job.key for job in seen.jobs], seen.queued, seen.eta) == (["e"], 1, 6.0)


def test_it_all_goes_through_json(world):
    world.embed_all()
    world.rank()
    seen = json.loads(json.dumps(status(world.services, world.project).to_json()))
    assert seen["live"]["remaining"] > 0
    assert json.loads(json.dumps([item.to_json() for item in queue(world.services, world.project)]))[0]["position"] == 1

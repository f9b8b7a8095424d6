"""Each job calls its use case with the arguments that the use cases submit."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.core import jobs as table
from backend.worker import context, jobs
from tests.backend.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    context.install(made.services, None)
    yield made
    context.install(None, None)
    made.state.close()


def test_the_jobs_carry_a_project_from_nothing_to_a_live_ranking(world):
    project = world.connect(tasks=20).id
    done: list[str] = []
    for _ in range(50):
        submitted = list(world.jobs.submitted)
        world.asked()
        if not submitted:
            break
        for job in submitted:
            context.begin(f"job-{len(done)}")
            jobs.JOBS[job.name](**job.arguments)
            done.append(job.name)
    assert {"embed", "cycle"} <= set(done)
    assert world.services.tasks.counts(project).embedded == 20
    assert world.services.rankings.live(project) is not None


def test_a_worker_does_every_job_of_the_table_with_its_plain_json_and_nothing_else():
    assert set(jobs.JOBS) == set(table.ALL)
    for name, run in jobs.JOBS.items():
        taken = inspect.signature(run).parameters
        assert taken == inspect.signature(table.ALL[name]).parameters, name
        assert {str(parameter.annotation) for parameter in taken.values()} <= {"int", "str"}, name


def test_the_remaining_jobs_run_on_a_connected_project(world):
    project = world.connect(tasks=5).id
    world.embed_all()
    jobs.cycle(project=project, reason="asked for")
    world.jobs.push_events([{"gone": "tasks", "project": 5, "ids": [1], "at": 1.0}])
    jobs.absorb()
    assert world.jobs.backlog() == 0
    world.jobs.knock("77.1", {}, most=9)
    jobs.meet()
    assert world.jobs.callers() == []
    for job in (jobs.sync, jobs.reconcile, jobs.publish, jobs.tidy):
        job(project=project)
    assert world.services.rankings.live(project) is not None


def test_owners_of_leases_differ_by_job(world):
    context.begin("one")
    first = context.owner()
    context.begin("two")
    assert context.owner() != first


def test_a_job_outside_a_worker_says_where_jobs_run():
    with pytest.raises(RuntimeError, match="labelqueue worker"):
        jobs.absorb()

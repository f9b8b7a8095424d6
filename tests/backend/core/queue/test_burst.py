"""Two thousand webhook requests, doubled and out of order, through the web app and a real Valkey into the labels."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

from backend.adapters.queue.jobs import RqJobs
from backend.core.project.ourselves import SECRET_HEADER
from backend.core.tasks.events import absorb
from backend.settings import Settings
from backend.web import create_app
from tests.backend.core.tasks.test_events import annotation, event
from tests.backend.world import NAMES, World
from tests.harness.valkey import Valkey


def test_a_burst_of_webhooks_leaves_exactly_the_right_label_table(tmp_path: Path, valkey: Valkey) -> None:
    world = World(tmp_path)
    project = world.connect(100)
    services = replace(world.services, jobs=RqJobs(valkey.url))
    services.jobs.redis.flushall()
    client = create_app(services, Settings(home=tmp_path)).test_client()
    rng = random.Random(1)
    bodies, truth = [], {}
    for task in range(1, 101):
        for second in range(10):
            name = rng.choice(NAMES)
            bodies.append(event("ANNOTATION_UPDATED", annotation=annotation(task, task, name, second)))
        truth[task] = name
    gone = set(rng.sample(range(1, 101), 20))
    bodies += [event("ANNOTATIONS_DELETED", annotation=[{"id": number}]) for number in gone]
    bodies *= 2
    rng.shuffle(bodies)
    assert len(bodies) == 2040
    secret = {SECRET_HEADER: services.projects.secret("webhook")}
    answers = {client.post("/webhook", json=body, headers=secret).status_code for body in bodies}
    assert answers <= {200, 201, 202, 204}
    assert services.jobs.backlog() == 2040
    absorb(services)
    assert services.jobs.backlog() == 0
    labels, skipped = services.tasks.labels(project.id)
    assert labels == {task: name for task, name in truth.items() if task not in gone}
    assert skipped == set()

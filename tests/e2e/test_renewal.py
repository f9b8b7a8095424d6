"""A renewal under a live queue: real fine-tuning on the CPU while an annotator goes on; nothing is lost or doubled."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.digits import digits, label_of
from tests.harness.live import Live
from tests.harness.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]

LABELED, POOL = 200, 80


def features(live: Live, project: int) -> dict[str, Any]:
    return dict(live.labelqueue.json("features", project))


def test_features_are_renewed_while_an_annotator_submits(live: Live) -> None:
    studio = live.label_studio
    project = studio.create_project("renewal")
    paths = digits(studio.files / "images", LABELED + POOL)
    live.add(project, 1)  # registers the storage
    known = [
        {
            "data": {"image": f"/data/local-files/?d={path.resolve().relative_to(studio.files.resolve())}"},
            "annotations": [{"result": studio.result(label_of(path))}],
        }
        for path in paths[:LABELED]
    ]
    studio.import_tasks(project, known)
    studio.import_files(project, paths[LABELED:])
    total = LABELED + POOL + 1
    live.labelqueue.run("connect", project, "--url", live.labelqueue.url)
    live.ready(project, total)
    truth = live.truth(project)
    live.labelqueue.run("features", project, "--renew")

    served: list[int] = []

    def annotate_until_done() -> str:
        """One more label, then where the renewal stands: "live", "rejected", ... or "" while it is under way."""
        if len(served) < POOL // 2:
            task = studio.next_task(project)
            assert task is not None
            assert task not in served
            served.append(task)
            studio.annotate(task, truth[task])
        newest = features(live, project)["versions"][-1]
        return "" if newest["state"] in ("training", "embedding", "judging") else str(newest["state"])

    state = wait_for(annotate_until_done, 400, what="the end of the renewal", every=0.5)
    assert state in ("live", "rejected"), features(live, project)
    assert len(served) >= 5
    version = 2 if state == "live" else 1
    wait_for(lambda: live.status(project)["features_version"] == version, 60, what="the switch")
    live.counts(project, embedded=total, failed=0, pending=0)
    wait_for(lambda: set(live.queue(project)) == set(truth) - done(live, project), 60, what="every open task ranked")
    assert studio.next_task(project) == live.queue(project)[0]


def done(live: Live, project: int) -> set[int]:
    """Tasks with an annotation in Label Studio."""
    return {number for number, task in live.label_studio.tasks(project).items() if task["annotations"]}

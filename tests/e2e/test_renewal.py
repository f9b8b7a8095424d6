"""Renewals on a real Label Studio: under a live queue, where nothing is lost or doubled, and in a replay."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scripts.digits import digits, label_of
from scripts.label_studio_server import TOKEN
from tests.harness.labelqueue import RealLabelQueue
from tests.harness.labelstudio import RealLabelStudio
from tests.harness.live import Live
from tests.harness.valkey import Valkey
from tests.harness.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]

LABELED, POOL = 200, 80
REPLAYED = 300


def features(live: Live, project: int) -> dict[str, Any]:
    return dict(live.labelqueue.json("features", project))


def project_with_labels(live: Live, name: str, labeled: int, unlabeled: int) -> int:
    """A project of digits, of which the first come with their annotations; not connected yet."""
    studio = live.label_studio
    project = studio.create_project(name)
    paths = digits(studio.files / "images", labeled + unlabeled)
    live.add(project, 1)  # registers the storage
    known = [
        {
            "data": {"image": f"/data/local-files/?d={path.resolve().relative_to(studio.files.resolve())}"},
            "annotations": [{"result": studio.result(label_of(path))}],
        }
        for path in paths[:labeled]
    ]
    studio.import_tasks(project, known)
    if unlabeled:
        studio.import_files(project, paths[labeled:])
    return project


def test_features_are_renewed_while_an_annotator_submits(live: Live) -> None:
    studio = live.label_studio
    project = project_with_labels(live, "renewal", LABELED, POOL)
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


@pytest.fixture
def coarse(label_studio: RealLabelStudio, tmp_path: Path) -> Iterator[Live]:
    """An installation that sees so few pixels that its features stand still, and the rule asks to renew them."""
    (tmp_path / "valkey").mkdir()
    with (
        Valkey(tmp_path / "valkey") as valkey,
        RealLabelQueue(tmp_path / "home", label_studio.url, TOKEN, valkey.url, {"IMAGE_SIZE": "32"}) as ours,
    ):
        ours.start()
        yield Live(label_studio, ours)


def test_a_project_is_replayed_with_features_that_its_own_labels_renew(coarse: Live) -> None:
    live = coarse
    project = project_with_labels(live, "replay", REPLAYED, 0)
    live.labelqueue.run("connect", project, "--url", live.labelqueue.url)
    live.ready(project, REPLAYED + 1)
    plan = ("--strategies", "asvp-margin", "--budgets", "128,160,200", "--seeds", 1, "--head", "linear")
    first = live.labelqueue.json("simulate", project, *plan)
    assert (first["source"], first["images"]) == ("replay", REPLAYED)
    _, asvp = first["arms"]
    assert [item["what"].split(":")[0] for item in asvp["renewals"]] == ["at 200 labels by lp-ft"]
    kept = live.labelqueue.home / "simulations"
    (features,) = kept.glob("simulation-*.npy")
    assert len(np.load(features)) == REPLAYED and not list(kept.rglob("*.safetensors"))
    assert live.status(project)["features_version"] == 1  # a replay changes nothing
    assert live.labelqueue.json("simulate", project, *plan)["arms"][1]["accuracy"] == asvp["accuracy"]


def done(live: Live, project: int) -> set[int]:
    """Tasks with an annotation in Label Studio."""
    return {number for number, task in live.label_studio.tasks(project).items() if task["annotations"]}

"""The audit stream is a uniform sample, served in rhythm and blind, and nothing is learnt from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backend.core.domain import AuditReport, LearningReport, Pick, RemoteTask
from backend.core.learning import audit
from backend.core.project import tuning
from backend.core.queue.predict import predict
from backend.core.tasks import sync
from selection.proxy.anytime import interval, share
from tests.backend.world import KEY, LS_ID, NAMES, World

SHARE = 0.2


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.connect(100)
    made.set(audit_share=SHARE)
    made.embed_all()
    return made


def test_the_draw_is_uniform_and_the_same_each_time() -> None:
    numbers = np.array([audit.draw(0, task) for task in range(20_000)])
    assert abs((numbers < 0.05).mean() - 0.05) < 0.01
    assert abs(numbers.mean() - 0.5) < 0.01
    assert audit.draw(0, 7) == audit.draw(0, 7) != audit.draw(1, 7)


@pytest.mark.parametrize("served", [0, 3, 17, 1000])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.2, 1.0])
def test_the_share_holds_over_restarts_of_the_ranking(served: int, share: float) -> None:
    picks = [Pick(n, 0.0, "") for n in range(1000)]
    audits = list(range(10_000, 11_000))
    woven = audit.weave(picks, audits, served=served, share=share, length=100)
    assert len(woven) == 100
    drawn = sum(pick.audit for pick in woven)
    assert drawn == int((served + 100) * share) - int(served * share)
    assert [p.task_id for p in woven if not p.audit] == list(range(100 - drawn))


def test_short_rounds_still_reach_their_audit_tasks() -> None:
    picks, audits = [Pick(n, 0.0, "") for n in range(100)], list(range(1000, 1100))
    served = 0
    seen = 0
    for _ in range(40):  # ten labels, then a new ranking
        head = audit.weave(picks, audits[seen:], served=served, share=0.05, length=100)[:10]
        seen += sum(pick.audit for pick in head)
        served += 10
    assert seen == 20


def test_when_the_picks_run_out_the_rest_of_the_audit_is_served() -> None:
    woven = audit.weave([Pick(1, 0.0, "")], [2, 3], served=0, share=0.05, length=100)
    assert [pick.task_id for pick in woven] == [1, 2, 3]


def test_audit_tasks_are_served_without_a_suggestion_and_marked_only_here(world: World) -> None:
    world.label(*[task for task in range(1, 100) if not world.services.tasks.audit(world.project.id) & {task}][:20])
    order = world.rank()
    drawn = world.services.tasks.audit(world.project.id)
    ranking = world.services.rankings.latest(world.project.id)
    assert ranking is not None
    assert 0 < len(drawn) < 40
    assert {pick.task_id for pick in ranking.picks if pick.audit} == drawn & set(order)
    live = world.services.rankings.live(world.project.id)
    assert live is not None
    for prediction in world.ls.predictions[LS_ID, live.model_version]:
        assert (prediction.guess is None) == (prediction.task_id in drawn)
    some = sorted(drawn)[:3]
    assert [item["result"] for item in predict(world.services, KEY, some)] == [[]] * len(some)


def test_a_task_labeled_before_it_was_ranked_is_never_drawn(world: World) -> None:
    world.label(*range(1, 101))
    world.services.tasks.draw_audit(world.project.id, 1.0, 0)
    assert world.services.tasks.audit(world.project.id) == set()


def test_poisoned_audit_labels_change_neither_head_nor_ranking(tmp_path: Path) -> None:
    def play(folder: Path, *, poison: bool) -> tuple[list[int], LearningReport]:
        folder.mkdir()
        world = World(folder)
        project = world.connect(100)
        world.set(audit_share=SHARE)
        world.embed_all()
        world.rank()
        drawn = world.services.tasks.audit(project.id)
        for task in range(1, 41):
            world.annotate(task, NAMES[(task + (poison and task in drawn)) % 3])
        sync.reconcile(world.services, project.id)
        order = world.rank()
        head = world.services.rankings.latest_head(project.id)
        assert head is not None
        return order, head.report

    order, report = play(tmp_path / "true", poison=False)
    poisoned_order, poisoned_report = play(tmp_path / "poisoned", poison=True)
    assert order == poisoned_order
    judged, poisoned_judged = report.audit, poisoned_report.audit
    assert judged is not None and poisoned_judged is not None
    assert replace(report, audit=None) == replace(poisoned_report, audit=None)
    assert judged.accuracy == 1.0
    assert judged.labels == poisoned_judged.labels > 0
    assert poisoned_judged.accuracy == 0.0


def test_switched_off_the_waiting_audit_tasks_return_to_the_selector(world: World) -> None:
    world.rank()
    drawn = world.services.tasks.audit(world.project.id)
    world.set(audit_share=0.0)
    world.set(head_size=1000)
    order = world.rank()
    ranking = world.services.rankings.latest(world.project.id)
    assert ranking is not None
    assert drawn <= set(order)
    assert not any(pick.audit for pick in ranking.picks)


def test_a_greater_share_holds_for_all_tasks_while_nobody_has_labeled_any(world: World) -> None:
    world.rank()
    tuning.change(world.services, world.project, {"audit_share": 0.4})
    world.rank()
    expected = {task for task in range(1, 101) if audit.draw(world.options.seed, task) < 0.4}
    assert world.services.tasks.audit(world.project.id) == expected


def test_after_the_first_label_the_draw_stands(world: World) -> None:
    world.rank()
    drawn = world.services.tasks.audit(world.project.id)
    world.label(1)
    tuning.change(world.services, world.project, {"audit_share": 0.4})
    world.rank()
    assert world.services.tasks.audit(world.project.id) == drawn != set()


def judged(answers: list[int], labels: list[int], earlier: AuditReport | None, tasks: int = 0) -> AuditReport:
    """Four audit rows and two others, of a population of a hundred."""
    drawn = np.array([True] * 4 + [False] * 2)
    ids = np.arange(tasks, tasks + 6)
    probs = np.eye(3, dtype=np.float32)[answers]
    return audit.judge_next(probs, np.array(labels), drawn, tasks=ids, population=100, earlier=earlier)


def test_each_head_that_answers_otherwise_spends_its_share_and_no_other_does() -> None:
    """(10-F5) The interval is for one model, and each round makes another."""
    none = judged([0, 1, 2, 0, 1, 2], [-1, -1, -1, -1, 1, 2], None)
    assert (none.head, none.accuracy, none.low, none.high) == (0, None, 0.0, 1.0)
    first = judged([0, 1, 2, 0, 1, 2], [0, 1, -1, -1, 1, 2], none)
    assert (first.head, first.labels, first.right, first.population) == (1, 2, 2, 100)
    assert (first.low, first.high) == interval(2, 2, 100, share(0.05, 1))
    looked = judged([0, 1, 2, 0, 1, 2], [0, 1, 2, 1, 1, 2], first)  # the same model, looked at again
    assert (looked.head, looked.labels, looked.right) == (1, 4, 3)
    second = judged([0, 1, 2, 0, 1, 1], [0, 1, 2, 1, 1, 2], looked)  # differs where nothing is audited
    assert (second.head, second.right) == (2, 3)
    assert (second.low, second.high) == interval(3, 4, 100, share(0.05, 2))
    assert judged([0, 1, 2, 0, 1, 1], [0, 1, 2, 1, 1, 2], second, tasks=50).head == 3  # of other tasks
    assert judged([0, 1, 2, 0, 1, 1], [-1, -1, -1, -1, 1, 2], second).head == 2  # nothing judged, nothing spent


def test_heads_judged_by_the_interval_for_one_look_do_not_count() -> None:
    old = AuditReport(labels=20, right=15, accuracy=0.75, low=0.53, high=0.89)
    assert judged([0] * 6, [0, 1, 2, 1, 1, 2], old).head == 1


def test_the_audit_stands_for_what_had_no_label_when_it_was_drawn_and_what_came_later(world: World) -> None:
    project = world.project.id
    world.label(*range(1, 11))  # before anything was drawn
    world.rank()
    assert world.services.tasks.population(project) == 90
    world.label(*range(11, 61))
    order = world.rank()
    head = world.services.rankings.latest_head(project)
    assert head is not None and order
    told = head.report.audit
    assert told is not None
    assert (told.population, told.head) == (90, 1)
    assert told.labels == len(world.services.tasks.audit(project) & set(range(11, 61))) > 0
    fresh = [RemoteTask(1000 + n, f"/data/new{n}.png", (), world.clock.time) for n in range(20)]
    world.ls.put(LS_ID, fresh)
    sync.reconcile(world.services, project)
    world.embed_all()
    world.rank()
    assert world.services.tasks.population(project) == 110
    assert world.services.tasks.audit(project) & {task.id for task in fresh}

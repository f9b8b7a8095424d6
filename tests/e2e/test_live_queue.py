"""The whole way on real servers: Label Studio serves our order, and labels, tasks and switches change it."""

from __future__ import annotations

import httpx
import pytest

from tests.e2e.conftest import BATCH
from tests.harness.labelqueue import RealLabelQueue
from tests.harness.live import SAMPLING, Live

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_label_studio_serves_exactly_our_ranking_and_forty_labels_renew_it_twice(live: Live) -> None:
    project = live.project(300)
    truth = live.truth(project)
    first, order = live.version(project), live.queue(project)
    assert len(order) == 10 * BATCH
    assert [row["task"] for row in live.labelqueue.json("queue", project)] == order[:20]
    served = live.serve_and_label(project, truth, BATCH)
    assert served == order[:BATCH]

    second = live.next_version(project, first)
    live.counts(project, labeled=BATCH)
    order = live.queue(project)
    assert not set(order) & set(served)
    again = live.serve_and_label(project, truth, BATCH)
    assert again == order[:BATCH]

    third = live.next_version(project, second)
    live.counts(project, labeled=2 * BATCH)
    assert len({first, second, third}) == 3
    order = live.queue(project)
    assert live.serve_and_label(project, truth, 3) == order[:3]
    status = live.labelqueue.json("status", project)
    assert sum(status["classes"].values()) == status["labeled"]


def test_two_users_get_different_tasks_each_the_best_that_is_free(live: Live) -> None:
    project = live.project(60)
    order = live.queue(project)
    users = [live.label_studio.user(f"user{number}@labelqueue.local") for number in range(3)]
    assert [live.label_studio.next_task(project, user) for user in users] == order[:3]
    assert live.label_studio.next_task(project, users[0]) == order[0]  # until submitted it stays theirs


def test_a_switched_strategy_changes_what_is_served(live: Live) -> None:
    project = live.project(60)
    before, first = live.queue(project), live.version(project)
    live.labelqueue.run("strategy", project, "random")
    live.next_version(project, first)
    after = live.queue(project)
    assert after != before
    assert live.status(project)["strategy"] == "random"
    assert live.label_studio.next_task(project) == after[0]


def test_an_unknown_strategy_is_refused_with_the_known_ones_and_changes_nothing(live: Live) -> None:
    project = live.project(30)
    said = live.labelqueue.run("strategy", project, "oracle", ok=False)
    assert "oracle" in said.stderr and "typiclust" in said.stderr
    assert live.status(project)["strategy"] == "auto"


def test_changed_and_deleted_annotations_are_reflected(live: Live) -> None:
    project = live.project(30)
    first, second, third = live.queue(project)[:3]
    annotation = live.label_studio.annotate(first, "1")
    gone = live.label_studio.annotate(second, "1")
    live.label_studio.annotate(third, None)
    live.counts(project, labeled=2, skipped=1)
    assert live.status(project)["classes"]["1"] == 2
    live.label_studio.change(annotation, "7")
    live.wait(lambda: live.status(project)["classes"]["7"] == 1, 20, "the changed label", project)
    live.label_studio.delete_annotation(gone)
    live.counts(project, labeled=1)
    assert live.status(project)["classes"]["1"] == 0
    assert second in live.queue(project) and first not in live.queue(project)


def test_fifty_tasks_imported_later_are_embedded_and_ranked(live: Live) -> None:
    project = live.project(30)
    before = live.version(project)
    late = live.add(project, 50, start=30)
    live.ready(project, 80)
    live.next_version(project, before)
    assert set(late) & set(live.queue(project))
    assert len(live.queue(project)) == 80
    assert live.label_studio.next_task(project) == live.queue(project)[0]


def test_deleted_tasks_leave_our_tables_and_the_queue(live: Live) -> None:
    project = live.project(30)
    doomed = live.queue(project)[:5]
    live.label_studio.delete_tasks(project, doomed)
    live.counts(project, tasks=25, embedded=25)
    assert not set(doomed) & set(live.queue(project))
    assert live.label_studio.next_task(project) == live.queue(project)[0]


def test_the_reconciler_finds_what_lost_webhooks_did_not_tell(live: Live) -> None:
    project = live.project(30)
    for hook in live.webhooks(project):
        live.label_studio.admin.http.patch(f"/api/webhooks/{hook['id']}/", json={"is_active": False}).raise_for_status()
    first, second = live.queue(project)[:2]
    gone = live.label_studio.annotate(first, "3")
    live.label_studio.annotate(second, "4")
    live.counts(project, labeled=2)
    live.label_studio.delete_annotation(gone)
    live.counts(project, labeled=1)
    assert live.status(project)["classes"]["4"] == 1


def test_tasks_imported_while_we_were_down_are_found_and_ranked(live: Live) -> None:
    project = live.project(30)
    live.labelqueue.stop()
    try:
        live.add(project, 20, start=30)
        live.label_studio.annotate(live.label_studio.next_task(project) or 0, "5")
    finally:
        live.labelqueue.start()
    live.ready(project, 50)
    live.counts(project, labeled=1)
    live.wait(lambda: len(live.queue(project)) == 49, 30, "a ranking of all tasks", project)


def test_a_project_connected_on_label_studios_own_page_works_as_well(live: Live) -> None:
    project = live.project(30, connect=False)
    body = {"project": project, "url": live.labelqueue.url, "title": "my model", "is_interactive": False}
    live.label_studio.admin.http.post("/api/ml/", json=body).raise_for_status()
    live.ready(project, 30)
    assert live.label_studio.next_task(project) == live.queue(project)[0]
    live.wait(lambda: all(hook["headers"] for hook in live.webhooks(project)), 30, "a secret on the webhook", project)
    live.labelqueue.run("doctor", project)


def test_another_name_of_ours_typed_on_label_studios_page_with_extra_params_is_taken_up_by_itself(live: Live) -> None:
    """(10-A1, 10-C5) /setup comes before anything else of ours ran; PUBLIC_URL says 127.0.0.1."""
    project = live.project(30, connect=False)
    typed = live.labelqueue.url.replace("127.0.0.1", "localhost")
    extra = '{"strategy": "random", "batch_size": "15"}'
    body = {"project": project, "url": typed, "title": "my model", "is_interactive": False, "extra_params": extra}
    live.label_studio.admin.http.post("/api/ml/", json=body).raise_for_status()
    live.ready(project, 30)
    assert (live.status(project)["strategy"], live.status(project)["batch_size"]) == ("random", 15)
    live.wait(lambda: all(hook["headers"] for hook in live.webhooks(project)), 30, "a secret on the webhook", project)
    live.labelqueue.run("doctor", project)
    live.labelqueue.run("connect", project)
    assert [hook["url"] for hook in live.webhooks(project)] == [f"{typed}/webhook"]
    rows = live.label_studio.admin.http.get("/api/ml/", params={"project": project}).json()
    assert [row["url"] for row in rows] == [typed]

    setup = {"project": f"{project}.1", "schema": "", "extra_params": {"strategy": "coreset"}}
    assert httpx.post(f"{typed}/setup", json=setup).json() == {"model_version": "LabelQueue"}
    live.label_studio.annotate(live.queue(project)[0], "1")
    live.counts(project, labeled=1)
    assert live.status(project)["strategy"] == "random"


def test_a_queue_that_a_person_reset_is_ours_again(live: Live) -> None:
    project = live.project(30)
    live.label_studio.update_project(project, sampling="Sequential sampling", model_version="")
    assert live.label_studio.project(project)["sampling"] != SAMPLING
    live.wait(lambda: live.version(project), 30, "our queue again", project)
    assert live.label_studio.next_task(project) == live.queue(project)[0]


def test_predictions_deleted_in_the_data_manager_come_back_in_our_order(live: Live) -> None:
    """(10-C1) All of them, then some: Label Studio keeps the version and would serve at random."""
    project = live.project(30)
    order = live.queue(project)
    for doomed in (list(live.label_studio.tasks(project)), order[3:9]):
        before = live.version(project)
        live.label_studio.delete_predictions(project, doomed)
        live.next_version(project, before)
        assert live.queue(project) == order == live.label_studio.served(project)
        assert f"predictions of {before}" in live.status(project)["healed"]["found"]
        assert "published again" in live.labelqueue.run("doctor", project).stdout
    assert live.label_studio.next_task(project) == order[0]


def test_predictions_that_somebody_imports_under_our_version_are_left_behind(live: Live) -> None:
    """(10-C1) The lowest score is served first; Label Studio takes scores from 0 to 1 only."""
    project = live.project(30)
    order, before = live.queue(project), live.version(project)
    rivals = [{"task": task, "score": 0.0, "model_version": before, "result": []} for task in order[-3:]]
    http = live.label_studio.admin.http
    answer = http.post(f"/api/projects/{project}/import/predictions", json=rivals).raise_for_status()
    assert answer.json()["created"] == 3
    live.next_version(project, before)
    assert live.queue(project) == order == live.label_studio.served(project)
    assert live.label_studio.next_task(project) == order[0]


def test_a_task_that_is_opened_or_predicted_by_hand_is_no_damage(live: Live) -> None:
    """(10-C1) Label Studio asks us for its prediction and stores it, under a version that is not the queue's."""
    project = live.project(30)
    before = live.version(project)
    live.label_studio.action(project, "retrieve_tasks_predictions", list(live.label_studio.tasks(project)))
    live.label_studio.annotate(live.queue(project)[0], "1")
    live.counts(project, labeled=1)
    assert live.version(project) == before and live.status(project)["healed"] is None


def test_a_personal_access_token_does_for_the_whole_way(live: Live) -> None:
    """The token is exchanged by the worker for the images and for the queue alike."""
    ours = live.labelqueue
    token = live.label_studio.personal_token()
    home, redis_url = ours.home.parent / "personal", ours.redis_url[:-1] + "1"
    with RealLabelQueue(home, ours.label_studio_url, token, redis_url) as second:
        second.start()
        with_token = Live(live.label_studio, second)
        project = with_token.project(20)
        assert live.label_studio.next_task(project) == with_token.queue(project)[0]

"""What people are told of features, renewals and the learning curve, on the terminal, by the API and on the page."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from backend.core.domain import AuditReport, LearningReport
from backend.core.embedding.embed import embed, embed_version
from backend.core.learning import curve
from backend.core.project import wording
from backend.core.project.status import status
from backend.core.renewal import advise, judge, renew, train, view
from backend.settings import Settings
from backend.web import create_app
from tests.backend.world import LS_ID, NAMES, World


@pytest.fixture
def world(tmp_path, monkeypatch):
    from backend import wiring

    made = World(tmp_path)
    made.embedder.gap, made.embedder.noise = 0.6, 1.0
    made.connect(120)
    made.set(audit_share=0.2)
    monkeypatch.setenv("LABELQUEUE_HOME", str(tmp_path))
    monkeypatch.setattr(wiring, "services", lambda settings: made.services)
    monkeypatch.setattr("backend.logs.configure", lambda *_, **__: None)
    return made


@pytest.fixture
def client(world, tmp_path):
    return create_app(world.services, Settings(home=tmp_path)).test_client()


def learn(world, upto=80):
    world.embed_all()
    world.rank()
    world.label(*range(1, upto + 1))
    world.rank()
    advise.consider(world.services, world.project.id)


def test_a_fresh_project_says_in_words_what_is_missing(world, run):
    world.embed_all()
    shown = run("status", LS_ID)[1]
    for text in ("not enough labels", "about one in 5 tasks is drawn at random", "labels of two classes are needed"):
        assert text in shown
    assert "mode suggest; not measured yet" in shown
    assert "no learning round yet" in run("curve", LS_ID)[1]
    assert json.loads(run("curve", LS_ID, "--json")[1]) == []
    listed = run("features", LS_ID)[1]
    assert "live" in listed and "fine-tune not measured yet, re-embed not measured yet" in listed
    assert "switched off" in wording.audit(None, 0.0)


def test_a_head_that_could_not_be_judged_is_no_error(world):
    report = LearningReport("linear", ece=0.0, judged=0, labels=2)
    world.services.rankings.add_head(world.project.id, 1, "x", NAMES, report, 1.0)
    seen = status(world.services, world.project)
    assert seen.accuracy is None and seen.audit is None and seen.head.ece is None


def test_status_tells_audit_calibration_and_head(world, run, client):
    learn(world)
    head = world.services.rankings.latest_head(world.project.id)
    seen = client.get(f"/api/projects/{LS_ID}").json
    judged = asdict(head.report.audit)
    assert seen["audit"].pop("value") == pytest.approx(judged["accuracy"]) and judged["labels"] > 5
    measure, numbers = seen["audit"].pop("measure"), seen["audit"]
    assert measure == judged["measure"] and numbers == pytest.approx({name: judged[name] for name in numbers})
    assert seen["head"]["ece"] == pytest.approx(head.report.ece) and sum(
        seen["head"]["weights"].values()
    ) == pytest.approx(1)
    shown, page = run("status", LS_ID)[1], client.get("/").text
    for text in (f"on {judged['labels']} labels drawn at random", "calibration error", head.report.kind):
        assert text in shown and text in page
    assert "mode suggest; wait: " in shown and "mode suggest; wait: " in page
    assert seen["advice"]["reason"] == head.report.renewal.reason


def test_the_curve_has_a_point_a_round_over_all_versions(world, run):
    learn(world, 40)
    world.label(*range(41, 81))
    world.rank()
    world.services.feature_sets.begin_plain(world.project.id, "other", version=2, over=1, at=world.clock.now())
    report = LearningReport(accuracy=0.9, low=0.8, high=0.95, labels=99, judged=99, ece=0.02)
    world.services.rankings.add_head(world.project.id, 2, "x", NAMES, report, world.clock.now())
    rounds = json.loads(run("curve", LS_ID, "--json")[1])
    assert [item["features_version"] for item in rounds] == [1, 1, 2]
    assert rounds[0]["labels"] < rounds[1]["labels"] < rounds[2]["labels"] == 99
    assert rounds[0]["audit"]["labels"] < rounds[1]["audit"]["labels"] and rounds[2]["audit"] is None
    assert [item.labels for item in curve.curve(world.services, world.project)] == [i["labels"] for i in rounds]
    assert "90.0% (80.0% to 95.0%)" in run("curve", LS_ID)[1]


def test_rounds_judged_before_there_was_the_interval_for_every_look_are_shown_as_what_they_are(world, run, client):
    """(10-F5) Their interval is for one look: it stays readable, is marked, and never passes for the other."""
    old = AuditReport(labels=20, right=15, accuracy=0.75, low=0.531, high=0.888)
    report = LearningReport(accuracy=0.7, low=0.6, high=0.79, labels=80, judged=80, ece=0.02, audit=old)
    world.services.rankings.add_head(world.project.id, 1, "x", NAMES, report, 1.0)
    for shown in (run("status", LS_ID)[1], client.get("/").text):
        assert "75.0% (53.1% to 88.8%) on 20 labels drawn at random, interval for one look" in " ".join(shown.split())
        assert "70.0% (60.0% to 79.0%) out of fold, interval for one look" in " ".join(shown.split())
    told = run("curve", LS_ID)[1]
    assert "75.0% (53.1% to 88.8%)*" in told and "* judged by an earlier version" in told
    learn(world)
    seen = status(world.services, world.project)
    assert seen.audit.population == world.services.tasks.population(world.project.id)
    assert f" of {seen.audit.population} tasks, interval for every look at every round" in client.get("/").text
    assert run("curve", LS_ID)[1].count("%)*") == 1


def test_audit_tasks_are_marked_in_the_queue_and_hold_no_guess(world, run):
    learn(world)
    items = json.loads(run("queue", LS_ID, "-n", 100, "--json")[1])
    drawn = world.services.tasks.audit(world.project.id)
    assert {item["task"] for item in items if item["audit"]} == drawn & {item["task"] for item in items} != set()
    assert all((item["guess"] is None) == item["audit"] for item in items)
    assert "audit: none shown" in run("queue", LS_ID, "-n", 100)[1]


def test_a_renewal_is_started_followed_and_rolled_back(world, run, client):
    learn(world)
    shown = run("features", LS_ID, "--renew", "--method", "ft")[1]
    assert "version 2 is fine-tuned by ft" in shown and "the first epoch is not done yet" in shown
    assert run("features", LS_ID, "--renew")[0] == 2
    train.train(world.services, world.project.id, 2)
    told = "version 2 trains (ft): epoch 2 of 4, loss 1.000, held out 1.000 (50.0% right), about 6 s left"
    assert told in run("status", LS_ID)[1] and told in client.get("/").text
    train.train(world.services, world.project.id, 2)
    embed_version(world.services, world.project.id, 2, "w")
    seen = status(world.services, world.project).renewal
    assert (seen.state, seen.done, seen.total) == ("embedding", 8, 120)
    assert "version 2 embeds: 8 of 120 tasks" in run("features", LS_ID)[1]
    while world.services.feature_sets.get(world.project.id, 2).state == "embedding":
        embed_version(world.services, world.project.id, 2, "w")
    assert "is judged on labels" in run("status", LS_ID)[1]
    judge.judge(world.services, world.project.id, 2)
    made = json.loads(run("features", LS_ID, "--json")[1])
    assert made["live"] == 2 and made["under_way"] is None and made["advice"] is None
    second = made["versions"][1]
    assert second["state"] == "live" and second["accuracy_new"] > second["accuracy_old"] and second["p"] < 0.05
    assert second["train_seconds"] == 12.0
    assert " -> " in run("features", LS_ID)[1]
    assert "version 1 serves" in run("features", LS_ID, "--rollback", 1)[1]
    assert world.project.features_version == 1
    assert run("features", LS_ID, "--cancel")[0] == 2
    assert run("features", LS_ID, "--cancel", "--rollback", 1)[0] == run("features", LS_ID, "--method", "ft")[0] == 2


def test_the_api_starts_cancels_and_refuses_a_renewal(world, client):
    path = f"/api/projects/{LS_ID}/renewal"
    world.embed_all()
    assert "too few" in client.post(path, json={"action": "start"}).json["error"]
    learn(world)
    started = client.post(path, json={"action": "start", "method": "lp-ft"}).json
    assert started["under_way"]["state"] == "training" and "lp-ft" in started["done"]
    assert client.get(f"/api/projects/{LS_ID}/features").json["under_way"]["version"] == 2
    assert client.post(path, json={"action": "cancel"}).json["versions"][1]["state"] == "cancelled"
    bad = [{}, {"action": "stop"}, {"action": "rollback"}, {"action": "rollback", "version": "1"}, {"action": "cancel"}]
    bad += [{"action": "start", "method": "x"}, {"action": "start", "version": 1}, {"action": "rollback", "version": 9}]
    for body in [*bad, {"action": ["start"]}]:
        answer = client.post(path, json=body)
        assert answer.status_code == 400 and answer.json["error"], body
    assert client.post(path, data='{"action": "start"}', content_type="text/plain").status_code == 415


def test_settings_go_through_the_api_and_the_command_line(world, run, client):
    path = f"/api/projects/{LS_ID}/settings"
    assert client.put(path, json={"audit_share": 0.1, "renewal": "off"}).json["renewal"] == "off"
    assert client.get(path).json["audit_share"] == 0.1
    for body in ({"audit_share": 0.6}, {"x": 1}):
        assert client.put(path, json=body).status_code == 400
    shown = run("set", LS_ID, "renewal=default", "calibrate=on", "batch_size=25", "head_size=80")[1]
    assert {"renewal=default", "calibrate=on", "batch_size=25", "audit_share=0.1", "head_size=80"} <= set(shown.split())
    assert json.loads(run("set", LS_ID, "--json")[1])["calibrate"] is True
    code, out, err = run("set", LS_ID, "batch_size=0")
    assert (code, out) == (2, "") and "batch_size must be a positive number" in err
    assert run("set", LS_ID, "batch_size")[0] == 2


def test_embedding_is_measured_as_a_moving_mean_and_gives_the_cost(world):
    class Slow:
        """Two seconds an image: the clock moves."""

        def embed(self, items):
            for item in world.embedder.embed(items):
                world.clock.time += world.seconds
                yield item

        def __getattr__(self, name):
            return getattr(world.embedder, name)

    slow = Slow()
    world.services = type(world.services)(
        **{name: getattr(world.services, name) for name in world.services.__slots__}
        | {"embedder": lambda checkpoint: slow}
    )
    world.seconds = 0.5
    embed(world.services, world.project.id, "w")
    rate = status(world.services, world.project).embed_rate
    assert rate == pytest.approx(2.0)
    world.seconds = 0.125
    embed(world.services, world.project.id, "w")
    assert status(world.services, world.project).embed_rate == pytest.approx((2.0 + 8.0) / 2)
    sets = world.services.feature_sets.list(world.project.id)
    cost = advise.costs(world.services, world.project, sets)
    assert cost.embed_seconds == pytest.approx(16 / 5)
    assert wording.cost(100.0, 600.0) == "fine-tune about 100 s, re-embed about 10 min"


def test_guessed_labels_are_compared_with_later_ones_and_count_for_nothing(world, run):
    learn(world, 60)
    project = world.project.id
    world.set(calibrate=True)
    renew.start(world.services, project)
    train.train(world.services, project, 2)
    training = world.services.feature_sets.get(project, 2).report.training
    guessed = {item.task: item.choice for item in training.pseudo_labels}
    assert guessed and not set(guessed) & set(range(1, 61))
    assert "none of which has a label of a person yet" in run("features", LS_ID)[1]
    first, second = sorted(guessed)[:2]
    world.clock.time += 1
    world.annotate(first, guessed[first])
    world.annotate(second, next(name for name in NAMES if name != guessed[second]))
    world.label()
    made = view.features(world.services, world.project).versions[1]
    assert made.pseudo == {"pseudo": len(guessed), "labeled": 2, "agree": 1}
    assert "people agree with 1 of 2" in run("features", LS_ID)[1]
    assert world.services.tasks.counts(project).labeled == 62


def test_advice_to_renew_comes_with_reason_cost_and_command(world, run, client, monkeypatch):
    from selection.proxy.renewal import Advice

    monkeypatch.setattr(advise, "advise", lambda *_, **__: Advice("renew", "LogME stands <still>"))
    learn(world)
    world.services.feature_sets.note_rate(world.project.id, 1, 0.1, at=world.clock.now())
    listed, shown, page = run("features", LS_ID)[1], run("status", LS_ID)[1], client.get("/").text
    assert "mode suggest; renew now: LogME stands <still>" in listed and "renew now: LogME stands <still>" in shown
    assert "fine-tune not measured yet, re-embed about 20 min" in listed
    assert "fine-tune not measured yet, re-embed about 20 min" in shown
    assert f"labelqueue features {LS_ID} --renew" in listed and f"labelqueue features {LS_ID} --renew" in page
    assert "LogME stands &lt;still&gt;" in page
    run("features", LS_ID, "--renew")
    assert "--renew" not in run("features", LS_ID)[1] and "--renew" not in client.get("/").text


def test_the_cost_is_that_of_trainings_that_were_not_stopped_midway(world):
    learn(world)
    project = world.project.id
    sets = world.services.feature_sets
    renew.start(world.services, project)
    train.train(world.services, project, 2)
    assert advise.costs(world.services, world.project, sets.list(project)).train_seconds is None
    train.train(world.services, project, 2)
    assert advise.costs(world.services, world.project, sets.list(project)).train_seconds == 12.0
    renew.cancel(world.services, project)
    assert advise.costs(world.services, world.project, sets.list(project)).train_seconds is None


def test_the_mode_is_the_workers_not_this_machines(world):
    from backend.core.domain import WorkerView

    assert view.mode(world.services, world.project) == "suggest"
    world.jobs.crew.append(WorkerView("w", "far", 1, "cuda:0", "", 0.0))
    assert view.mode(world.services, world.project) == "auto"
    world.set(renewal="off")
    assert view.mode(world.services, world.project) == "off"

"""The command line over fakes: what each command prints, its exit status, and that looking is quick and torch-free."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest.mock import ANY

import pytest
from typer.testing import CliRunner

from backend.adapters.disk import is_full
from backend.cli import show
from backend.cli.base import parse_params
from backend.cli.main import COMMANDS, app
from backend.cli.render import duration
from backend.cli.show import storage_trouble
from backend.core.domain import JobView, WorkerView
from backend.core.errors import BadSetting
from tests.backend.world import LS_ID, NAMES

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def world(commanded):
    return commanded


def live(world):
    world.connect(30)
    world.embed_all()
    return world.rank()


def test_every_command_has_help_and_is_listed():
    shown = CliRunner().invoke(app, ["--help"]).output
    for command in (command for commands in COMMANDS.values() for command in commands):
        assert command.__name__ in shown
        text = CliRunner().invoke(app, [command.__name__, "--help"])
        assert text.exit_code == 0 and len(text.output) > 200
        assert "Example: " in text.output


def test_status_shows_the_figures(world, run):
    served = live(world)
    world.label(*served[:3])
    world.jobs.crew.append(WorkerView("w1", "here", 1, "cuda:0", "", 0.0))
    world.jobs.views.append(JobView("e", "embed", world.project.id, "running", 5, 10, 2.0, 0.0, ""))
    code, out, _ = run("status", LS_ID)
    assert code == 0
    classes = ", ".join(f"{name} {sum(NAMES[task % 3] == name for task in served[:3])}" for name in NAMES)
    for text in ("Digits", "30, 30 embedded", classes, "auto", f"{len(served) - 3} of", "w1 (cuda:0)"):
        assert text in out
    assert "embed, 5 of 10, 2.0/s" in out
    assert json.loads(run("status", LS_ID, "--json")[1])["labeled"] == 3
    assert [item["project"] for item in json.loads(run("status", "--json")[1])] == [LS_ID]


def test_status_without_projects_says_how_to_connect(world, run):
    assert "labelqueue connect PROJECT" in run("status")[1]
    assert json.loads(run("status", "--json")[1]) == []


def test_the_queue_is_listed_with_reasons(world, run):
    served = live(world)
    items = json.loads(run("queue", LS_ID, "-n", 4, "--json")[1])
    assert [item["task"] for item in items] == served[:4] and all(item["note"] for item in items)
    assert items[0]["note"] in run("queue", LS_ID)[1]


def test_a_ranking_is_replayed_and_what_differs_is_named(world, run):
    live(world)
    ranking = world.services.rankings.latest(world.project.id)
    code, out, _ = run("replay", ranking.id)
    assert code == 0 and "ranking 1 of project 5: auto, 30 tasks" in out and "the same: every task" in out
    world.features.remove(world.project.id, 1, [ranking.picks[0].task_id])
    code, out, _ = run("replay", ranking.id)
    assert code == 1 and "not the same from place 1 on; 29 of 30" in out and "1 of 30 tasks have no features" in out
    told = json.loads(run("replay", ranking.id, "--json")[1])
    assert (told["same"], told["place"], len(told["tasks"])) == (False, 1, 29)
    code, _, err = run("replay", 99)
    assert (code, err) == (2, "labelqueue: there is no ranking 99\n")


def test_the_strategy_is_shown_switched_and_refused(world, run):
    live(world)
    assert run("strategy", LS_ID)[1].split()[0] == "auto"
    assert json.loads(run("strategy", LS_ID, "typiclust", "-p", "neighbors=7", "--json")[1]) == {
        "preset": None,
        "name": "typiclust",
        "params": {"neighbors": 7},
    }
    code, out, err = run("strategy", LS_ID, "margn")
    assert (code, out) == (2, "") and "margn" in err and "margin" in err and err.count("\n") == 1
    assert run("strategy", LS_ID, "random", "-p", "x=1")[0] == 2
    assert world.project.strategy.name == "typiclust"


def test_a_presets_name_is_shown_wherever_the_strategy_is(world, run):
    """(10-F2) `strategy 7 asvp-margin` was remembered, and shown, as `margin`."""
    live(world)
    assert (
        run("strategy", LS_ID, "asvp-typiclust", "-p", "neighbors=7")[1] == "asvp-typiclust (typiclust) neighbors=7\n"
    )
    assert run("strategy", LS_ID)[1] == "asvp-typiclust (typiclust) neighbors=7\n"
    assert json.loads(run("strategy", LS_ID, "-p", "neighbors=5", "--json")[1])["preset"] == "asvp-typiclust"
    assert "asvp-typiclust (typiclust) neighbors=5" in run("status", LS_ID)[1]
    told = run("set", LS_ID, "calibrate=off")[1].splitlines()
    assert "renewal=auto  (by the preset asvp-typiclust)" in told and "calibrate=off" in told
    assert json.loads(run("connect", LS_ID, "--json")[1])["preset"] == "asvp-typiclust"
    assert run("strategy", LS_ID, "random")[1] == "random\n"
    assert "renewal=default" in run("set", LS_ID)[1].splitlines()


def test_connect_and_disconnect_tell_what_they_did(world, run):
    world.ls.add_project(LS_ID, 0)
    code, out, _ = run("connect", LS_ID, "--strategy", "random", "--batch-size", 4)
    assert code == 0 and "is connected under http://127.0.0.1:9090" in out and "Note: the project has no tasks" in out
    assert (world.project.strategy.name, world.project.batch_size) == ("random", 4)
    assert json.loads(run("connect", LS_ID, "--json")[1])["config"]["classes"] == ["zero", "one", "two"]
    assert "removed backend" in run("disconnect", LS_ID, "--yes")[1]
    assert world.services.projects.all() == []


def test_failed_images_are_listed_and_tried_again(world, run):
    world.connect(3)
    world.services.tasks.finish(world.project.id, {1: "d"}, {2: "truncated [file]"})
    out = run("tasks", LS_ID, "--failed")[1]
    assert "truncated [file]" in out and "/data/upload/1.png" in out and "/data/upload/0.png" not in out
    assert [task["id"] for task in json.loads(run("tasks", LS_ID, "--json")[1])] == [1, 2, 3]
    assert json.loads(run("tasks", LS_ID, "--retry", "--json")[1]) == {"retried": 1}
    assert "no such tasks" in run("tasks", LS_ID, "--failed")[1]


def test_learn_and_sync_ask_the_workers_once(world, run):
    world.connect(3)
    world.asked()
    assert run("learn", LS_ID)[1].startswith("asked for") and "already" in run("learn", LS_ID)[1]
    assert run("sync", LS_ID)[1].startswith("asked for")
    assert world.jobs.names() == ["cycle", "sync"]


def test_doctor_ends_with_1_when_something_fails(world, run, monkeypatch):
    monkeypatch.setattr("backend.local.reach.reach", lambda url: "")
    live(world)
    code, out, _ = run("doctor")
    assert code == 1 and "no worker runs" in out and "-> run `labelqueue worker`" in out
    world.jobs.crew.append(WorkerView("w", "here", 1, "cpu", "", 0.0))
    found = json.loads(run("doctor", "--json")[1])
    assert all(set(item) == {"level", "what", "cure"} for item in found)
    assert not any("no worker" in item["what"] for item in found)


def test_strategies_and_config_are_listed_without_secrets(world, run):
    assert {"margin", "random"} <= {card["name"] for card in json.loads(run("strategies", "--json")[1])}
    assert "margin" in run("strategies")[1]
    (line,) = [line for line in run("strategies", "kmeans")[1].splitlines() if line.split()[:1] == ["iterations"]]
    assert line.split(maxsplit=4) == ["iterations", "3", "0", "1000", ANY] and "a few hundred" in line
    code, _, err = run("strategies", "kmean")
    assert code == 2 and "no strategy named 'kmean'; known: activeft" in err
    shown = run("config")[1]
    assert "LABEL_STUDIO_API_KEY=***" in shown and "tok-secret" not in shown + run("config", "--json")[1]


@pytest.mark.parametrize("arguments", [("status", 77), ("queue", 77), ("tasks", 77), ("learn", 77), ("strategy", 77)])
def test_an_unknown_project_is_one_line_with_the_cure(world, run, arguments):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "") and err.startswith("labelqueue: ") and "labelqueue connect 77" in err


def test_the_worlds_faults_end_with_1_and_without_a_trace(world, run):
    world.connect(3)
    world.jobs.down = True
    code, _, err = run("status", LS_ID)
    assert code == 1 and "Redis does not answer" in err and "Traceback" not in err


def test_a_bad_setting_names_its_variable(world, run, monkeypatch):
    monkeypatch.setenv("PORT", "many")
    code, _, err = run("config")
    assert code == 2 and "PORT" in err


@pytest.mark.parametrize(
    ("text", "value"), [("a=1", 1), ("a=0.5", 0.5), ("a=true", True), ("a=b", "b"), ("a=", ""), ("a=x=y", "x=y")]
)
def test_parameters_are_json_or_text(text, value):
    assert parse_params([text]) == {"a": value}


@pytest.mark.parametrize("text", ["a", "=1", " =1"])
def test_what_is_no_parameter_is_refused(text):
    with pytest.raises(BadSetting, match="KEY=VALUE"):
        parse_params([text])


def test_durations_are_words():
    assert [duration(s) for s in (5, 300, 7300, 200_000)] == ["5 s", "5 min", "2 h", "2 days"]


def test_the_store_is_judged_by_its_nearest_folder(tmp_path):
    (tmp_path / "file").write_text("")
    assert storage_trouble(str(tmp_path / "new" / "deep")) == ""
    assert "is not a folder" in storage_trouble(str(tmp_path / "file" / "x"))


def test_looking_commands_load_no_torch_and_help_is_light(tmp_path):
    heavy = "import sys; from typer.testing import CliRunner; from backend.cli.main import app; "
    ask = "r = CliRunner().invoke(app, {!r}); assert r.exit_code == 0, r.output + repr(r.exception); "
    environment = {"PATH": os.environ["PATH"], "LABELQUEUE_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    light = ask.format(["--help"]) + "assert not {'flask', 'sqlalchemy', 'lance', 'redis', 'numpy'} & set(sys.modules)"
    looks = "".join(ask.format(words) for words in (["config"], ["strategies"]))
    for words in (["status"], ["status", "--json"]):
        looks += f"r = CliRunner().invoke(app, {words}); assert 'Redis' in str(r.exception), r.exception; "
    for code in (light, looks + "assert 'torch' not in sys.modules and 'sqlalchemy' in sys.modules"):
        done = subprocess.run(
            [sys.executable, "-c", heavy + code], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("number", ["0", "-1", "9" * 20])
@pytest.mark.parametrize("command", ["connect", "status", "doctor", "queue"])
def test_what_is_no_number_of_a_project_is_refused_before_anyone_is_asked(world, run, command, number):
    """(10-E4) Label Studio was asked for project -1."""
    world.ls.down = world.jobs.down = True
    code, out, err = run(command, "--", number)
    assert (code, out) == (2, "") and "Invalid value for" in err and "PROJECT" in err


def test_status_without_projects_tells_that_redis_is_away(world, run):
    """(10-E4) All seemed well."""
    world.jobs.down = True
    code, out, err = run("status")
    assert (code, out) == (1, "") and "Redis does not answer" in err


def test_proc_is_not_a_full_disk():
    """(10-E4) A file system without blocks has none free."""
    assert not is_full(Path("/proc/xx"))


class Bucketless(BaseHTTPRequestHandler):
    """An object store without buckets."""

    def do_GET(self):
        body = b"<Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message></Error>"
        self.send_response(404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def stored_at(monkeypatch, port):
    for name, value in {
        "ACCESS_KEY_ID": "x",
        "SECRET_ACCESS_KEY": "y",
        "REGION": "us-east-1",
        "ALLOW_HTTP": "true",
        "ENDPOINT": f"http://127.0.0.1:{port}",
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)


def test_a_bucket_that_is_not_there_is_told(monkeypatch):
    """(10-E4) The doctor said "ok" without looking."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Bucketless) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        stored_at(monkeypatch, server.server_port)
        told = storage_trouble("s3://absent/x")
        server.shutdown()
    assert "there is no such bucket; check STORAGE_URL" in told


def test_an_object_store_that_does_not_answer_is_not_waited_for(monkeypatch):
    """(10-E4) Lance would try for minutes."""
    monkeypatch.setattr(show, "STORE_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        stored_at(monkeypatch, silent.getsockname()[1])
        told = storage_trouble("s3://me:geheim@absent/x")
    assert "does not answer within 0.5 s; check STORAGE_URL" in told and "geheim" not in told

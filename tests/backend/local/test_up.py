"""The real processes: `labelqueue serve` stays small, `labelqueue up` starts, mends and ends all its parts."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from redis import Redis, RedisError

from backend.local.part import LONGEST_DELAY, Part
from backend.settings import Settings, names_of

ROOT = Path(__file__).resolve().parents[3]
COMMAND = [sys.executable, "-P", "-m", "backend.cli.main"]
SCHEMA = '<View><Image name="i" value="$image"/><Choices name="c" toName="i"><Choice value="a"/></Choices></View>'
LIMIT = 40.0  # seconds to wait for anything


def until(condition, what):
    end = time.monotonic() + LIMIT
    while not (found := condition()):
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)
    return found


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def call(port, path, body=None, headers=()):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, dict(headers))
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.reason, json.loads(answer.read() or b"null") if path != "/" else None
    except urllib.error.HTTPError as error:
        return error.code, error.reason, json.loads(error.read())
    except OSError:
        return 0, "", None


def children(pid):
    """Pids of all living descendants."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found += [int(stat.parent.name), *children(int(stat.parent.name))]
    return found


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Home:
    """A home folder with a port, and the processes that a test starts in it."""

    def __init__(self, folder):
        self.folder, self.port, self.started = folder, free_port(), []
        names = {name for field in Settings.model_fields for name in names_of(field)}
        self.environment = {k: v for k, v in os.environ.items() if k not in names} | {
            "LABELQUEUE_HOME": str(folder),
            "PORT": str(self.port),
            "WORKERS": "0",
            "PYTHONPATH": str(ROOT),
        }
        self.settings = Settings(home=folder)

    def start(self, *arguments, **environment):
        log = (self.folder / f"{arguments[0]}.log").open("ab")
        process = subprocess.Popen(
            [*COMMAND, *arguments], env=self.environment | environment, cwd=ROOT, stdout=log, stderr=log
        )
        log.close()
        self.started.append(process)
        return process

    def run(self, *arguments, **environment):
        return subprocess.run(
            [*COMMAND, *arguments],
            env=self.environment | environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def healthy(self):
        return call(self.port, "/health")[0] == 200

    def part(self, up, word):
        """Pid of a part of `up` by a word of its command line."""
        for pid in children(up.pid):
            if word in Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "):
                return pid
        return None

    def redis(self):
        return Redis.from_url(self.settings.redis_url)


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path)
    yield made
    for process in made.started:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)


def test_the_web_process_is_small_and_never_loads_torch(home):
    web = home.start("serve", LABELQUEUE_DEBUG="1")
    until(home.healthy, "the web process")
    body = {"project": "1.5", "schema": SCHEMA, "extra_params": '{"strategy": "margn"}'}
    # no queue runs here: what needs it says so at once
    status, reason, _ = call(home.port, "/setup", body)
    assert status == 400 and "margn" in reason and "margin" in reason
    assert call(home.port, "/setup", {"project": "2.5", "schema": SCHEMA})[0] == 503
    assert call(home.port, "/predict", {"project": "2.5", "tasks": [{"id": 1}]})[0] == 400  # nobody has met it yet
    assert call(home.port, "/webhook", {"action": "START_TRAINING", "project": {"id": 2}})[0] == 202  # of none of ours
    assert [call(home.port, path)[0] for path in ("/", "/versions", "/api/strategies")] == [200] * 3
    assert children(web.pid) == []
    maps = Path(f"/proc/{web.pid}/maps").read_text()
    assert "sqlite" in maps  # it is the process that serves
    assert "libtorch" not in maps
    lines = Path(f"/proc/{web.pid}/status").read_text().splitlines()
    resident = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    assert resident < 350, f"{resident:.0f} MB"


@pytest.mark.slow
def test_up_runs_mends_and_ends_everything(home):
    up = home.start("up")
    until(home.healthy, "the web process")
    home.redis().set("kept", "yes")

    second = home.run("up")
    assert second.returncode == 2 and "runs already" in second.stderr and str(up.pid) in second.stderr

    valkey, web = home.part(up, "valkey-server"), home.part(up, "main() serve")
    os.kill(valkey, signal.SIGKILL)
    until(lambda: home.part(up, "valkey-server") not in (None, valkey), "another Valkey")
    until(lambda: _get(home) == b"yes", "the data")
    os.kill(web, signal.SIGKILL)
    until(lambda: home.part(up, "main() serve") not in (None, web) and home.healthy(), "another web process")

    parts = children(up.pid)
    up.terminate()
    assert up.wait(LIMIT) == 0
    assert not [pid for pid in parts if alive(pid)]
    assert "Traceback" not in (home.folder / "up.log").read_text()
    assert f"listens at http://127.0.0.1:{home.port}" in (home.folder / "up.log").read_text()


def _get(home):
    try:
        return home.redis().get("kept")
    except RedisError:
        return None


@pytest.mark.slow
def test_nothing_outlives_a_killed_up_and_the_next_one_goes_on(home):
    up = home.start("up", WORKERS="1")
    until(home.healthy, "the web process")
    until(lambda: home.part(up, "main() worker"), "the worker")
    home.redis().set("kept", "yes")
    parts = children(up.pid)
    up.kill()
    up.wait(5)
    home.start("up")  # at once: it waits for the port and for Valkey's file
    until(lambda: not [pid for pid in parts if alive(pid)], "the end of all parts")
    until(home.healthy, "the web process")
    assert home.redis().get("kept") == b"yes"


def test_a_port_in_use_is_told_with_the_cure(home):
    with socket.create_server(("127.0.0.1", home.port)):
        for command in ("serve", "up"):
            done = home.run(command)
            assert done.returncode == 2 and f"127.0.0.1:{home.port}" in done.stderr and "set PORT" in done.stderr
            assert "Traceback" not in done.stderr
    assert not home.folder.joinpath("valkey.sock").exists()


@pytest.mark.parametrize("command", ["serve", "up"])
def test_the_network_is_refused_without_a_password(home, command):
    done = home.run(command, HOST="0.0.0.0")
    assert done.returncode == 2 and "BASIC_AUTH_USER" in done.stderr and done.stderr.count("\n") == 1


def test_a_part_that_keeps_crashing_is_started_ever_more_seldom():
    part = Part("broken", ["false"])
    delays = []
    for _ in range(10):
        part._due = 0.0
        assert part.keep_running() is None
        delays.append(until(lambda: part.keep_running() and part.delay, "the crash"))
    assert delays[:4] == [0.5, 1.0, 2.0, 4.0] and delays[-1] == LONGEST_DELAY

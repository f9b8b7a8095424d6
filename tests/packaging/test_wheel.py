"""What `pip install` gives: every file of the packages, and a program that runs from any folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import pytest

from backend.adapters.state import open_state
from backend.core.domain import LabelConfig, Target
from backend.settings import Settings, names_of
from backend.web import create_app
from scripts.label_studio_server import free_port
from scripts.release import WHEEL, build
from tests.backend.world import World
from tests.harness.waiting import wait_for
from tests.packaging.wheels import checkout, files_of, install, requirements_of, tracked, unpack_sdist

pytestmark = pytest.mark.slow

PROJECT = 7
CONFIG = LabelConfig("image", Target("one", "choices", "choice", "image", ("cat", "dog"), suggests=True))
PAGES = {"/"}  # HTML; everything else that answers a GET is JSON
EVIL = "from pathlib import Path\nPath(__file__).resolve().with_name('ran').touch()\nraise SystemExit('foreign code')\n"
LOOKS_LIKE_OURS = (
    "backend/__init__.py",
    "backend/cli/main.py",
    "selection/__init__.py",
    "redis.py",
    "flask.py",
    "json.py",
)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkout(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    given = os.environ.get(WHEEL)  # of `make release`
    return Path(given) if given else build(source, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def labelqueue(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(wheel, tmp_path_factory.mktemp("bare") / "venv")


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A folder with packages and modules that are called like ours and like those we need."""
    for name in LOOKS_LIKE_OURS:
        (tmp_path / "hostile" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "hostile" / name).write_text(EVIL)
    return tmp_path / "hostile"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    names = {name for field in Settings.model_fields for name in names_of(field)} | {"PYTHONPATH", "PYTHONSAFEPATH"}
    clean = {name: value for name, value in os.environ.items() if name not in names}
    return {**clean, "LABELQUEUE_HOME": str(tmp_path / "home"), "PORT": str(free_port()), "WORKERS": "0"}


@pytest.fixture
def server(labelqueue: Path, hostile: Path, environment: dict[str, str], tmp_path: Path) -> Iterator[str]:
    """The address of an installed `labelqueue up`, started in the hostile folder, with a project connected."""
    state = open_state(f"sqlite:///{tmp_path}/home/labelqueue.sqlite")
    state.projects.add(PROJECT, f"{PROJECT}.1", title="Pets", label_config="<View/>", config=CONFIG, at=1.0)
    state.close()
    url, log = f"http://127.0.0.1:{environment['PORT']}", tmp_path / "up.log"

    def healthy() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return httpx.get(f"{url}/health").status_code == 200
        except httpx.TransportError:
            return False

    with log.open("wb") as out:
        process = subprocess.Popen([labelqueue, "up"], cwd=hostile, env=environment, stdout=out, stderr=out)
    try:
        wait_for(healthy, 90, what="the installed web process", tell=log.read_text)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def ours() -> list[str]:
    return [name for name in tracked() if name.startswith(("backend/", "selection/"))]


def test_the_wheel_holds_every_file_of_the_packages_and_nothing_else(wheel: Path) -> None:
    """(10-E1) The templates were left out, so that the status page was a 500."""
    assert files_of(wheel) == ours()


def test_what_the_wheel_requires_is_here_and_fits_together(wheel: Path) -> None:
    """The versions that the tests run with are ones that the package asks for, and no two of them disagree."""
    assert [str(each) for each in requirements_of(wheel) if version(each.name) not in each.specifier] == []
    done = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_sdist_holds_what_its_own_wheel_needs(source: Path, tmp_path: Path) -> None:
    """(10-E1) The same by way of the sdist, which is what `pip install` of an index without wheels builds from."""
    unpacked = unpack_sdist(build(source, "sdist", tmp_path / "sdist"), tmp_path / "unpacked")
    assert files_of(build(unpacked, "wheel", tmp_path / "wheel")) == ours()
    assert {"README.md", "LICENSE"} <= {path.name for path in unpacked.iterdir()}


def test_every_page_and_route_of_the_installed_program_answers(server: str, hostile: Path, tmp_path: Path) -> None:
    """(10-E1, 10-E2) Installed from the wheel and started in a folder whose code is called like ours."""
    for path in paths(tmp_path):
        answer = httpx.get(f"{server}{path}", timeout=30)
        assert answer.status_code == 200, (path, answer.text)
        if path in PAGES:
            assert answer.text.startswith("<!doctype html>") and "Pets" in answer.text
        else:
            assert answer.json() is not None
    assert not list(hostile.rglob("ran"))


def test_commands_of_the_installed_program_run_no_code_of_the_folder(
    labelqueue: Path, hostile: Path, environment: dict[str, str]
) -> None:
    """(10-E2) `labelqueue status` as the first command."""
    done = subprocess.run([labelqueue, "strategies"], cwd=hostile, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "") and "graphcover" in done.stdout
    assert not list(hostile.rglob("ran"))


def paths(folder: Path) -> list[str]:
    """Everything that can be asked for with GET, with our project's number filled in."""
    world = World(folder)
    rules: list[Any] = list(create_app(world.services, Settings(home=folder)).url_map.iter_rules())
    world.state.close()
    found = [rule for rule in rules if "GET" in rule.methods]
    assert all(rule.arguments <= {"number"} for rule in found), "fill in what the new route needs"
    return [rule.rule.replace("<project:number>", str(PROJECT)) for rule in found]

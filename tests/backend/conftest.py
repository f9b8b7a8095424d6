"""The state on both of its databases; the service over stand-ins, and its web process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from backend import wiring
from backend.adapters.state import State, open_state
from backend.adapters.state.tables import metadata
from backend.cli.main import main
from backend.core.domain import LabelConfig, Project, Target
from backend.web import create_app
from tests.backend.requests import settings
from tests.backend.world import World
from tests.harness.postgres import Postgres

CONFIG = LabelConfig("image", Target("one", "choices", "choice", "image", ("cat", "dog", "fox"), suggests=True))


class Hand:
    """A clock that is set by hand."""

    def __init__(self, at: float = 1000.0) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/new/state.db"
    return str(request.getfixturevalue("postgres").database())


@pytest.fixture(scope="session")
def filled_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the newest schema, to be copied."""
    file = tmp_path_factory.mktemp("schema") / "state.db"
    open_state(f"sqlite:///{file}").close()
    return file


@pytest.fixture(scope="session")
def shared_postgres(postgres: Postgres) -> str:
    """A database that one test at a time uses and empties."""
    return postgres.database()


@pytest.fixture
def hand() -> Hand:
    """The clock of `state`."""
    return Hand()


@pytest.fixture(params=["sqlite", "postgresql"])
def migrated_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of each kind with the newest schema and no rows; one test at a time uses the PostgreSQL one."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("filled_once"), tmp_path / "state.db")
        return f"sqlite:///{tmp_path}/state.db"
    url = str(request.getfixturevalue("shared_postgres"))
    opened = open_state(url)
    with opened.engine.begin() as connection:
        connection.execute(text(f"TRUNCATE {', '.join(metadata.tables)} RESTART IDENTITY CASCADE"))
    opened.close()
    return url


@pytest.fixture
def state(migrated_url: str, hand: Hand) -> Iterator[State]:
    """The stores on an empty database of each kind."""
    opened = open_state(migrated_url, hand)
    yield opened
    opened.close()


@pytest.fixture
def project(state: State) -> Project:
    """A project that was just connected."""
    return state.projects.add(7, "7.1", title="Pets", label_config="<View/>", config=CONFIG, at=1.0)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """The whole service over stand-ins, with nothing in it."""
    return World(tmp_path)


@pytest.fixture
def commanded(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """`world`, which the commands open as well."""
    monkeypatch.setenv("LABELQUEUE_HOME", str(tmp_path))
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "tok-secret")
    monkeypatch.setattr(wiring, "services", lambda settings: world.services)
    monkeypatch.setattr("backend.logs.configure", lambda *_, **__: None)
    return world


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """`run("status", 5)` -> (exit status, stdout, stderr), by the console script's own entry point."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["labelqueue", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out = capsys.readouterr()
        return int(ended.value.code or 0), out.out, out.err

    return call


@pytest.fixture
def client(world: World, tmp_path: Path) -> FlaskClient:
    """What asks the web process of `world`."""
    return create_app(world.services, settings(tmp_path)).test_client()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a small disk needs the right to mount one")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)

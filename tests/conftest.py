"""Fixtures shared by all tests: one real Label Studio a session, made when the first test asks for it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import structlog

if TYPE_CHECKING:
    from tests.harness.labelstudio import RealLabelStudio, User
    from tests.harness.postgres import Postgres
    from tests.harness.seaweed import Seaweed
    from tests.harness.valkey import Valkey


@pytest.fixture(autouse=True)
def log_settings() -> Iterator[None]:
    """Commands called in this process set up the log as their own; the next test finds it as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def label_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealLabelStudio]:
    """A real Label Studio for tests that do not stop it; each makes a project of its own."""
    from tests.harness.labelstudio import RealLabelStudio

    root = tmp_path_factory.mktemp("label-studio")
    with RealLabelStudio(root / "data", root / "files") as server:
        yield server


@pytest.fixture(scope="session")
def other_user(label_studio: RealLabelStudio) -> User:
    """A second annotator."""
    return label_studio.user("second@labelqueue.local")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL; ask it for a `database()`."""
    from tests.harness.postgres import Postgres, require_postgres

    require_postgres()
    with Postgres() as server:
        yield server


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A real Valkey for tests that do not stop it; use another key prefix or flush it first."""
    from tests.harness.valkey import Valkey

    with Valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    """A real S3-compatible store for tests that do not stop it; its one bucket is shared."""
    from tests.harness.seaweed import Seaweed

    with Seaweed(tmp_path_factory.mktemp("store")) as server:
        yield server

"""The state on both of its databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.adapters.state import State, open_state
from backend.core.domain import LabelConfig, Project

CONFIG = LabelConfig("image", "choice", "image", ("cat", "dog", "fox"), True)


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


@pytest.fixture
def hand() -> Hand:
    """The clock of `state`."""
    return Hand()


@pytest.fixture
def state(database_url: str, hand: Hand) -> Iterator[State]:
    """The stores on an empty database."""
    opened = open_state(database_url, hand)
    yield opened
    opened.close()


@pytest.fixture
def project(state: State) -> Project:
    """A project that was just connected."""
    return state.projects.add(7, "7.1", title="Pets", label_config="<View/>", config=CONFIG, at=1.0)

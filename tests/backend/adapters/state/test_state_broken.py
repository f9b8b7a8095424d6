"""(10-E4) A database that is damaged, cut, another program's or on a full disk is told in one line with the way out."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import text

from backend.adapters.state import StateDown, StateError, open_state
from backend.core.errors import BadSetting
from tests.backend.conftest import CONFIG
from tests.backend.disks import fill


@pytest.fixture
def file(filled_once: Path, tmp_path: Path) -> Path:
    shutil.copy(filled_once, tmp_path / "state.db")
    return tmp_path / "state.db"


def used(file: Path) -> None:
    state = open_state(f"sqlite:///{file}")
    try:
        state.projects.all()
        state.tasks.counts(1)
    finally:
        state.close()


def overwrite(file: Path, start: int, end: int) -> None:
    content = bytearray(file.read_bytes())
    content[start:end] = b"\xa5" * (min(end, len(content)) - start)
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("text", "is no SQLite database"),
        ("cut to a few bytes", "is damaged"),
        ("cut in the middle", "is damaged"),
        ("damaged everywhere", "is damaged"),
        ("damaged header", "is no SQLite database"),
    ],
)
def test_a_broken_file_is_named_with_the_cure(file: Path, what: str, told: str) -> None:
    size = file.stat().st_size
    if what == "text":
        file.write_text("hello " * 1000)
    elif what.startswith("cut"):
        os.truncate(file, 50 if "few" in what else size // 2 // 4096 * 4096)
    else:
        overwrite(file, *((100, size) if "everywhere" in what else (0, 100)))
    with pytest.raises(StateError, match=rf"state\.db {told}.*restore it from a backup, or move it away") as caught:
        used(file)
    assert "\n" not in str(caught.value)


def test_another_programs_file_is_left_alone(tmp_path: Path) -> None:
    """Our tables were added to it."""
    with sqlite3.connect(tmp_path / "theirs.db") as connection:
        connection.execute("CREATE TABLE recipes (id INTEGER)")
    connection.close()
    with pytest.raises(BadSetting, match=r"another program's database .it has the table recipes.; move it away"):
        used(tmp_path / "theirs.db")
    with sqlite3.connect(tmp_path / "theirs.db") as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("recipes",)]
    connection.close()


def test_another_programs_file_at_the_default_place_is_named(tmp_path: Path, run, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """(10-E4) The text named DATABASE_URL, which nobody had set."""
    with sqlite3.connect(tmp_path / "labelqueue.sqlite") as connection:
        connection.execute("CREATE TABLE recipes (id INTEGER)")
    connection.close()
    monkeypatch.setenv("LABELQUEUE_HOME", str(tmp_path))
    code, _, err = run("status")
    assert code == 2 and err.startswith(f"labelqueue: the file {tmp_path}/labelqueue.sqlite is another program's"), err


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("sqlite://", "in memory"),
        ("sqlite:///", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("sqlite:///file::memory:?cache=shared&uri=true", "in memory"),
        ("sqlite:///file:x?mode=memory&uri=true", "in memory"),
        ("sqlite:////data/a?b/state.db", "%3F"),
        ("sqlite://data/state.db", "four slashes"),
        ("mysql://h/db", "no database that LabelQueue knows"),
    ],
)
def test_an_address_of_no_file_is_refused(url: str, told: str) -> None:
    """(10-E4) In memory nothing is kept; what follows a ? was an option, and the file lay elsewhere."""
    with pytest.raises(BadSetting, match="DATABASE_URL") as caught:
        open_state(url)
    assert told in str(caught.value)


def test_a_path_written_in_percents_is_that_path(tmp_path: Path) -> None:
    open_state(f"sqlite:///{tmp_path}/a%3Fb%2541/state.db").close()
    assert (tmp_path / "a?b%41" / "state.db").is_file()


def test_another_programs_tables_in_postgresql_are_left_alone(postgres) -> None:  # type: ignore[no-untyped-def]
    """A table called like one of ours was a stack trace of the driver."""
    url = postgres.database()
    state = open_state(url)
    with state.engine.begin() as connection:
        connection.execute(text("DROP TABLE alembic_version"))
    state.close()
    with pytest.raises(BadSetting, match="another program's database"):
        open_state(url)


def test_a_full_disk_is_told_on_opening_a_new_database(small_disk: Path, run, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """And not blamed on Redis."""
    fill(small_disk)
    with pytest.raises(StateDown, match=r"the disk .*is full.*make room"):
        used(small_disk / "state.db")
    monkeypatch.setenv("LABELQUEUE_HOME", str(small_disk))
    code, _, err = run("status")
    assert code == 1 and "is full" in err and "Redis" not in err and err.count("\n") == 1


def test_a_full_disk_is_told_on_opening_and_loses_nothing(file: Path, small_disk: Path) -> None:
    shutil.copy(file, small_disk / "state.db")
    fill(small_disk)
    with pytest.raises(StateDown, match=r"the disk .*is full.*make room"):
        used_and_written(small_disk / "state.db")
    (small_disk / "filler").unlink()
    used_and_written(small_disk / "state.db")


def used_and_written(file: Path) -> None:
    state = open_state(f"sqlite:///{file}")
    try:
        state.projects.secret("webhook")
    finally:
        state.close()


@pytest.mark.parametrize("value", ["not json", "[]", "null", '{"image_key": 1}', '"x"'])
@pytest.mark.parametrize("column", ["config", "params"])
def test_a_json_column_of_another_shape_is_told(file: Path, column: str, value: str, run, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """One such row made a stack trace of every command and page."""
    url = f"sqlite:///{file}"
    state = open_state(url)
    state.projects.add(7, "7.1", title="Pets", label_config="", config=CONFIG, at=1.0)
    with state.engine.begin() as connection:
        connection.execute(text(f"UPDATE projects SET {column} = :value"), {"value": value})
    state.close()
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("LABELQUEUE_HOME", str(file.parent / "home"))
    code, out, err = run("strategy", 7)
    assert code in (0, 1) and err.count("\n") == (1 if code else 0), err
    assert code == 0 or ("restore a backup" in err and out == "")
    assert column == "params" or code == 1

"""(10-E4) What keeps `labelqueue up` from starting is told once, with place and way out, and nothing is started."""

from __future__ import annotations

import sqlite3
import subprocess

import pytest

from backend.cli.show import storage_trouble
from tests.backend.disks import fill


@pytest.fixture
def refused(tmp_path, monkeypatch, run):
    """`refused(home)` -> the one line that `up` says."""

    def start(home, **environment):
        for name, value in {"LABELQUEUE_HOME": home, "WORKERS": 1, **environment}.items():
            monkeypatch.setenv(name, str(value))
        monkeypatch.setattr("backend.local.up._await_port", lambda settings: None)
        monkeypatch.setattr("backend.local.part.Part.start", lambda part: pytest.fail(f"{part.name} was started"))
        code, out, err = run("up")
        assert code in (1, 2) and out == "" and err.count("\n") == 1, err
        return err

    return start


def test_a_full_disk(small_disk, refused):
    """It said "No space left on device", of nothing."""
    fill(small_disk)
    told = refused(small_disk)
    assert f"the disk that holds the home folder {small_disk} is full" in told and "make room on it" in told


def test_a_disk_that_has_room_for_the_lock_only(small_disk, refused):
    fill(small_disk)
    with (small_disk / "filler").open("r+b") as filler:
        filler.truncate(filler.seek(0, 2) - 3 * 4096)
    told = refused(small_disk)
    assert str(small_disk) in told and "is full" in told and "make room on it" in told


def test_a_disk_that_cannot_be_written(small_disk, refused):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert f"{small_disk} cannot be used (read-only); set LABELQUEUE_HOME" in refused(small_disk)


def test_a_damaged_database(tmp_path, refused):
    """Web process and worker were started again and again."""
    (tmp_path / "labelqueue.sqlite").write_bytes(b"\xa5" * 9000)
    assert f"{tmp_path}/labelqueue.sqlite is no SQLite database" in refused(tmp_path)


def test_another_programs_database(tmp_path, refused):
    """Each part said so, and named DATABASE_URL, which nobody had set."""
    with sqlite3.connect(tmp_path / "labelqueue.sqlite") as connection:
        connection.execute("CREATE TABLE recipes (id INTEGER)")
    connection.close()
    told = refused(tmp_path)
    assert f"the file {tmp_path}/labelqueue.sqlite is another program's database" in told and "move it away" in told


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_in_memory(tmp_path, refused, url):
    """Nothing would be kept, and the workers would see nothing."""
    assert "in memory" in refused(tmp_path, DATABASE_URL=url)


def test_a_folder_in_the_place_of_the_database(tmp_path, refused):
    (tmp_path / "labelqueue.sqlite").mkdir()
    assert f"{tmp_path}/labelqueue.sqlite" in refused(tmp_path)


def test_the_doctor_sees_a_store_that_cannot_be_written(small_disk, tmp_path):
    assert storage_trouble(str(small_disk / "features")) == ""
    fill(small_disk)
    assert "is full; make room on it" in storage_trouble(str(small_disk / "features"))
    (tmp_path / "file").touch()
    assert "is not a folder; move it away" in storage_trouble(str(tmp_path / "file" / "features"))


@pytest.mark.parametrize("command", ["status", "doctor", "queue"])
def test_the_other_commands_name_the_full_disk_too(small_disk, run, monkeypatch, command):
    """The doctor's arrow said "correct DATABASE_URL"."""
    fill(small_disk)
    monkeypatch.setenv("LABELQUEUE_HOME", str(small_disk))
    code, out, err = run(command, *((1,) if command == "queue" else ()))
    assert code == 1 and "is full" in out + err and "make room on it" in out + err
    assert "DATABASE_URL" not in out + err

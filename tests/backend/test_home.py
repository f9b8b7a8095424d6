"""The home folder: its owner's alone, and an impossible one is told in one line."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from backend import home, wiring
from backend.core.errors import BadSetting
from backend.settings import Settings


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def usual_umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def default(tmp_path, monkeypatch):
    """The home that nobody named."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / ".labelqueue"


def opened(folder: Path) -> None:
    wiring.services(Settings(home=folder)).projects.all()


def test_a_home_that_a_looking_command_makes_is_its_owners_alone(default):
    """(10-A8) After `labelqueue status` as the first command it was 0755 and the database 0644."""
    opened(default)
    assert mode(default) == 0o700
    files = [path for path in default.rglob("*") if path.is_file()]
    assert {"labelqueue.sqlite", "labelqueue.sqlite-wal"} <= {path.name for path in files}
    assert {mode(path) for path in files} == {0o600} and mode(default / "features") == 0o700


def test_what_an_earlier_version_left_open_is_closed(default):
    """(10-A8) A later `up` did not tighten it."""
    opened(default)
    (default / "valkey").mkdir()
    (default / "valkey" / "valkey.log").touch()
    for path in [default, *default.iterdir()]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    home.ensure(Settings(home=default))
    assert [mode(path) & 0o077 for path in [default, *default.iterdir()]] == [0] * (1 + len(list(default.iterdir())))


def test_a_folder_that_was_there_keeps_its_rights_but_our_files_are_closed(tmp_path):
    """(10-A8) LABELQUEUE_HOME may name a folder that others use."""
    tmp_path.chmod(0o755)
    (tmp_path / "theirs").touch(0o644)
    opened(tmp_path)
    (tmp_path / "labelqueue.sqlite").chmod(0o644)
    opened(tmp_path)
    assert mode(tmp_path) == 0o755 and mode(tmp_path / "theirs") == 0o644
    assert mode(tmp_path / "labelqueue.sqlite") == 0o600 and mode(tmp_path / "features") == 0o700


def test_a_home_that_its_group_shares_on_purpose_stays_shared(tmp_path):
    """(10-A8) The setgid bit says so."""
    os.umask(0o002)
    tmp_path.chmod(0o2770)
    opened(tmp_path)
    assert mode(tmp_path) == 0o2770 and mode(tmp_path / "labelqueue.sqlite") == 0o660


def test_a_database_elsewhere_is_made_for_its_owner_too(tmp_path):
    """(10-A8) DATABASE_URL may name another folder."""
    url = f"sqlite:///{tmp_path}/else/state.db"
    wiring.services(Settings(home=tmp_path / "home", database_url=url))
    assert mode(tmp_path / "else") == 0o700 and mode(tmp_path / "else/state.db") == 0o600


def test_an_open_settings_file_is_told(tmp_path, capfd):
    """(10-A8) It may hold the token; it is the operator's, so it is told and left."""
    from backend import logs

    (tmp_path / "labelqueue.env").touch(0o644)
    made = Settings(home=tmp_path)
    logs.configure(made, process="test")
    home.ensure(made)
    assert "chmod 600" in capfd.readouterr().err and mode(tmp_path / "labelqueue.env") == 0o644


@pytest.mark.parametrize("kind", ["a file", "below a file", "no rights", "no such device", "too long"])
def test_an_impossible_home_is_one_line_that_names_it(kind, tmp_path, run, monkeypatch):
    """(10-E4) Some were stack traces, others named DATABASE_URL."""
    (tmp_path / "file").touch()
    folder = {
        "a file": f"{tmp_path}/file",
        "below a file": f"{tmp_path}/file/deeper",
        "no rights": "/sys/labelqueue",
        "no such device": "/proc/labelqueue",
        "too long": f"{tmp_path}/" + "x" * 300,
    }[kind]
    monkeypatch.setenv("LABELQUEUE_HOME", folder)
    for command in ("status", "up"):
        code, out, err = run(command)
        assert (code, out) == (2, "") and "LABELQUEUE_HOME" in err and err.count("\n") == 1, err


def test_a_user_without_a_home_is_told_which_setting_to_give(run, monkeypatch):
    """(10-E4) A container with a user that has no entry: Path.expanduser raised."""
    monkeypatch.setenv("LABELQUEUE_HOME", "~nobody-of-that-name/x")
    code, _, err = run("status")
    assert code == 2 and "LABELQUEUE_HOME" in err and err.count("\n") == 1


@pytest.mark.parametrize("url", ["redis://me:pa/Zq7w@h:1/0", "redis://:Zq7w?x@h", "redis://:Zq7w#x@h", "Zq7w@h:6379"])
def test_a_password_that_breaks_the_address_of_redis_is_told_with_the_cure(url, run, monkeypatch):
    """(10-E4) It was a stack trace with a part of the password."""
    monkeypatch.setenv("REDIS_URL", url)
    code, _, err = run("status")
    assert code == 2 and "REDIS_URL" in err and "%2F" in err and "Zq7w" not in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "url"),
    [("DATABASE_URL", "postgresql://me:pa/Zq7w@h:1/db"), ("LABEL_STUDIO_URL", "http://me:pa/Zq7w@h:8080")],
)
def test_other_addresses_with_such_a_password_tell_it_too(name, url, run, monkeypatch, tmp_path):
    """(10-E4) The same kind elsewhere."""
    monkeypatch.setenv("LABELQUEUE_HOME", str(tmp_path))
    monkeypatch.setenv(name, url)
    code, _, err = run("status")
    assert code in (1, 2) and "Zq7w" not in err and err.count("\n") == 1, err
    assert name in err


def test_a_setting_names_the_folder_it_cannot_use():
    with pytest.raises(BadSetting, match="the home folder /proc/labelqueue cannot be used"):
        home.ensure(Settings(home="/proc/labelqueue"))

"""(10-E4) Commands that take a path or a project say in one line what is wrong with it, before any work."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    for name in ("a", "b"):
        (tmp_path / "classes" / name).mkdir(parents=True)
    monkeypatch.setenv("LABELQUEUE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("simulate", "nowhere/at/all"), "there is no folder 'nowhere/at/all'"),
        (("simulate", "file"), "file is a file; name the folder"),
        (("simulate", ""), "there is no folder ''"),
        (("simulate", "\u0661"), "is no project's number"),
        (("simulate", "\u00b2"), "is no project's number"),
        (("simulate", "9" * 5000), "is no project's number"),
        (("simulate", "empty"), "holds images of 0 classes; name a folder with one sub-folder"),
        (("simulate", "empty", "--budgets", "1_0"), "--budgets takes whole numbers"),
        (("simulate", "classes", "--out", "file"), "file; it is a file; name a folder"),
        (("simulate", "classes", "--out", "file/deeper"), "a part of it is a file; name a folder"),
        (("predict", "nowhere", "file"), "nowhere holds no config.json; name a folder that labelqueue export wrote"),
        (("predict", "file", "file"), "file holds no config.json; name a folder that labelqueue export wrote"),
        (("predict", "empty", "file"), "empty holds no config.json"),
    ],
)
def test_a_path_of_no_use_is_told(run, command, told):
    code, out, err = run(*command)
    assert code in (1, 2) and out == "" and told in err and err.count("\n") == 1, err


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_of_results_that_cannot_be_written_is_told_before_the_work(run, place):
    (place / "empty").chmod(0o500)
    code, _, err = run("simulate", "classes", "--out", "empty")
    assert code == 2 and "cannot be written" in err

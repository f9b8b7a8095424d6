"""What can be released, and what a release is made of; nothing here tags this repository."""

from __future__ import annotations

import re
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest

from backend import __version__
from scripts.label_studio_server import ROOT
from scripts.release import committed, refusals, tag
from tests.packaging.wheels import tracked

CHANGES = "# Changes\n\n## Unreleased\n\n## 1.2.0 - 2026-11-25\n\n### Added\n- A thing.\n"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit that can be released as 1.2.0."""
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Somebody")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "somebody@example.com")
    root = tmp_path / "repository"
    root.mkdir()
    (root / "CHANGELOG.md").write_text(CHANGES)
    git(root, "init", "--quiet")
    commit(root)
    return root


def git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True).stdout


def commit(root: Path) -> None:
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "All of it")


def test_a_clean_commit_with_its_changes_written_down_is_released_once(repository: Path) -> None:
    assert refusals(repository, "1.2.0") == []
    assert tag(repository, "1.2.0") == "v1.2.0"
    assert git(repository, "describe") == "v1.2.0\n"
    (reason,) = refusals(repository, "1.2.0")
    assert "v1.2.0 is tagged already" in reason


def test_what_is_not_committed_is_neither_released_nor_packed(repository: Path, tmp_path: Path) -> None:
    (repository / "left.py").write_text("")
    (reason,) = refusals(repository, "1.2.0")
    assert "the working tree has changes" in reason
    assert [path.name for path in committed(repository, tmp_path).iterdir()] == ["CHANGELOG.md"]


def test_changes_that_are_not_written_down_for_the_version_are_told(repository: Path) -> None:
    (repository / "CHANGELOG.md").write_text(CHANGES.replace("Unreleased\n", "Unreleased\n\n### Fixed\n- Another.\n"))
    commit(repository)
    assert [reason.split(":")[0] for reason in refusals(repository, "1.3.0")] == [
        'CHANGELOG.md has no section "## 1.3.0 - YYYY-MM-DD"',
        'CHANGELOG.md has entries under "Unreleased"',
    ]


def test_the_version_stands_in_one_file_and_in_the_changes() -> None:
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    assert config["metadata"]["version"] == "attr: backend.__version__"
    assert re.search(rf"^## {re.escape(__version__)} - \d{{4}}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.M)


def test_no_text_installs_us_from_a_registry() -> None:
    """The name there is not ours, so that somebody else's program would be installed."""
    install = re.compile(r"pip install [^`\n]*(?<![\w/.-])labelqueue(?![\w/-])")
    texts = {name: (ROOT / name).read_text(errors="ignore") for name in tracked() if not name.startswith("tests/")}
    assert [name for name, text in texts.items() if install.search(text)] == []

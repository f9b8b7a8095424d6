"""scripts/env.sh in a folder of its own: what it does and says when something is missing, half made or finished."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = (
    "bash",
    "cat",
    "chmod",
    "cut",
    "date",
    "df",
    "dirname",
    "du",
    "flock",
    "grep",
    "id",
    "mkdir",
    "mv",
    "rm",
    "sha256sum",
)
TOOLS += ("awk", "sleep", "sort", "tail", "touch", "tr")

FAKE_PYTHON = """#!/bin/bash
# Stands in for Python: makes "environments" of itself, and its pip does what the test says.
case "$*" in
    "-c import sys; assert sys.version_info >= (3, 11)") exit 0 ;;
    "-c import sys; assert sys.version_info >= (3, 11); import venv, ensurepip") exit "${FAKE_VENV:-0}" ;;
    "-c import pip") exit 0 ;;
    "-c import importlib.util as u; "*) exit "${FAKE_LOST:-0}" ;;
    "-m venv "*) mkdir -p "$3/bin"; cat "$0" >"$3/bin/python"; chmod +x "$3/bin/python" ;;
    "-m pip freeze"*) echo "numpy==9.9" ;;
    "-m pip install"*) echo "pip $*" >>"$FAKE_LOG"; echo "${FAKE_PIP_SAYS:-}"; exit "${FAKE_PIP:-0}" ;;
    *) echo "unexpected: $*" >&2; exit 9 ;;
esac
"""


class Machine:
    """A folder with the script and a PATH that holds only the tools named here."""

    def __init__(self, folder: Path) -> None:
        self.project, self.bin = folder / "project", folder / "bin"
        self.log = folder / "pip.log"
        (self.project / "scripts").mkdir(parents=True)
        self.bin.mkdir()
        shutil.copy(ROOT / "scripts" / "env.sh", self.project / "scripts")
        for name in ("setup.cfg", "pyproject.toml"):
            shutil.copy(ROOT / name, self.project)
        shutil.copytree(ROOT / "scripts" / "constraints", self.project / "scripts" / "constraints")
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found, tool
            (self.bin / tool).symlink_to(found)
        self.tool("id", "#!/bin/bash\necho 1000\n")  # an ordinary user: nothing is installed by itself
        self.tool("python3.11", FAKE_PYTHON)

    def tool(self, name: str, text: str) -> None:
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def run(self, what: str, **environment: str) -> tuple[int, str]:
        """(exit status, everything said)."""
        clean = {"PATH": str(self.bin), "HOME": os.environ.get("HOME", "/"), "FAKE_LOG": str(self.log)}
        clean |= {"PYTHON": "python3.11"}
        done = subprocess.run(
            [str(self.bin / "bash"), str(self.project / "scripts" / "env.sh"), what],
            env=clean | environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.returncode, done.stdout + done.stderr

    def installs(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_both_environments_are_made_once_and_then_left_alone(machine: Machine) -> None:
    assert machine.run("app")[0] == machine.run("label-studio")[0] == 0
    first = machine.installs()
    assert "-e .[postgres,demo]" in first[0] and "label-studio==1.23.2" in first[1]
    code, said = machine.run("app")
    assert (code, said) == (0, "")
    assert machine.installs() == first


def test_a_changed_setup_cfg_brings_the_environment_up_to_date(machine: Machine) -> None:
    machine.run("app")
    with (machine.project / "setup.cfg").open("a") as config:
        config.write("# changed\n")
    code, said = machine.run("app")
    assert code == 0 and "bringing .venv up to date" in said
    assert len(machine.installs()) == 2


def test_both_environments_hold_to_the_versions_that_passed_the_tests(machine: Machine) -> None:
    machine.run("app")
    machine.run("label-studio")
    app, label_studio = machine.installs()
    assert "-c scripts/constraints/app.txt" in app
    assert "-c scripts/constraints/label-studio.txt" in label_studio
    with (machine.project / "scripts" / "constraints" / "label-studio.txt").open("a") as constraints:
        constraints.write("# changed\n")
    code, said = machine.run("label-studio")
    assert code == 0 and "bringing .venv-ls up to date" in said


def test_renewing_takes_todays_releases_and_writes_them_down(machine: Machine) -> None:
    code, said = machine.run("renew")
    assert code == 0 and "make test" in said
    for line in machine.installs()[2:]:
        assert "--upgrade --upgrade-strategy eager" in line and "-c" not in line.split()
    for name in ("app", "label-studio"):
        written = machine.project / "scripts" / "constraints" / f"{name}.txt"
        assert written.read_text() == "numpy==9.9\n"


def test_renewing_shows_what_changed(machine: Machine) -> None:
    lists = machine.project / "scripts" / "constraints"
    (lists / "app.txt").write_text("gone==1.0\nnumpy==2.2.6\n")
    (lists / "label-studio.txt").write_text("")
    said = machine.run("renew")[1]
    assert "gone 1.0 removed\n" in said and "numpy 2.2.6 -> 9.9\n" in said and "numpy 9.9 added\n" in said
    assert machine.run("renew")[1].count("nothing changed\n") == 2


def test_the_demo_never_shrinks_the_test_environment(machine: Machine) -> None:
    machine.run("test")
    machine.run("app")
    assert len(machine.installs()) == 1


def test_an_environment_made_by_hand_is_adopted(machine: Machine) -> None:
    machine.run("app")
    (machine.project / ".venv" / ".stamp").unlink()
    (machine.project / ".venv" / "mine").touch()
    assert machine.run("app")[0] == 0
    assert (machine.project / ".venv" / "mine").exists()


def test_a_half_made_environment_is_made_anew(machine: Machine) -> None:
    code, _ = machine.run("app", FAKE_PIP="1")
    assert code == 1
    (machine.project / ".venv" / "rest").touch()
    code, said = machine.run("app")
    assert code == 0 and "was left half made; making it anew" in said
    assert not (machine.project / ".venv" / "rest").exists()


def test_an_environment_whose_python_is_gone_is_made_anew(machine: Machine) -> None:
    machine.run("app")
    (machine.project / ".venv" / "bin" / "python").unlink()
    code, said = machine.run("app")
    assert code == 0 and "has no working Python; making it anew" in said


def test_an_environment_that_lost_its_packages_is_made_anew(machine: Machine) -> None:
    machine.run("app")
    code, said = machine.run("app", FAKE_LOST="1")
    assert code == 0 and "has lost torch; making it anew" in said


def test_no_python_is_said_with_the_cure(machine: Machine) -> None:
    (machine.bin / "python3.11").unlink()
    code, said = machine.run("app")
    assert code == 1
    assert "no Python 3.11 or newer" in said and "apt-get install python3.11" in said


def test_a_python_without_venv_is_said_with_the_cure(machine: Machine) -> None:
    code, said = machine.run("app", FAKE_VENV="1")
    assert code == 1
    assert "no venv module" in said and "sudo apt-get install python3.11-venv" in said


def test_no_network_is_said_with_the_cure(machine: Machine) -> None:
    code, said = machine.run("app", FAKE_PIP="1", FAKE_PIP_SAYS="Temporary failure in name resolution")
    assert code == 1
    assert "pip reached no package index" in said and "PIP_INDEX_URL" in said


def test_another_failure_of_pip_shows_its_last_lines(machine: Machine) -> None:
    code, said = machine.run("app", FAKE_PIP="1", FAKE_PIP_SAYS="ERROR: the wheel is square")
    assert code == 1
    assert "the wheel is square" in said


def test_a_full_disk_is_said_before_the_download(machine: Machine) -> None:
    machine.tool("df", "#!/bin/bash\nprintf 'Avail\\n 2G\\n'\n")
    code, said = machine.run("app")
    assert code == 1
    assert "needs about 9 GB of disk, 2 GB are free" in said
    assert not machine.installs()


def test_missing_debian_packages_are_named_to_who_may_not_install_them(machine: Machine) -> None:
    code, said = machine.run("system")
    assert code == 0
    assert "sudo apt-get install chromium chromium-driver" in said

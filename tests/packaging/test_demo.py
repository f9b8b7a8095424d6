"""(10-E3) What `make demo` is given is looked at before anything starts, and `make help` names the right variables."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.demo_home import ports
from scripts.demo_images import DemoError
from scripts.label_studio_server import ROOT, free_port


def test_the_variables_that_make_help_shows_are_those_that_the_demo_reads() -> None:
    """It showed PORT=8080, which is Label Studio's, for LabelQueue."""
    text = (ROOT / "Makefile").read_text()
    line = next(line for line in text.splitlines() if line.startswith("demo:"))
    source = (ROOT / "scripts/demo.py").read_text() + (ROOT / "scripts/demo_home.py").read_text()
    shown = dict(re.findall(r"([A-Z_]+)=(\S+?)(?=[ ,)])", line))
    assert {"IMAGES", "LABELS", "LS_PORT", "PORT"} == set(shown)
    assert all(f'"{name}"' in source for name in shown)
    assert (shown["LS_PORT"], shown["PORT"]) == ("8080", "9090")


def environ(**given: str) -> dict[str, str]:
    """Two free ports, and what is given."""
    return {"LS_PORT": str(free_port()), "PORT": str(free_port())} | given


def test_two_equal_ports_are_told_with_the_meaning_of_both() -> None:
    """It was "Redis does not answer"."""
    with pytest.raises(DemoError, match=r"LS_PORT and PORT are both 8080.*make demo LS_PORT=8080 PORT=8081"):
        ports({"PORT": "8080"})


@pytest.mark.parametrize("name", ["LS_PORT", "PORT"])
def test_a_port_in_use_is_told_by_its_variable(name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        with pytest.raises(DemoError, match=rf"port {number}, .* is in use.*make demo {name}={number + 1}"):
            ports(environ(**{name: str(number)}))


@pytest.mark.parametrize("given", ["many", "0", "70000", "-1", "80 80"])
def test_what_is_no_port_is_told(given: str) -> None:
    with pytest.raises(DemoError, match=r"PORT=.* is no port; give a number from 1 to 65535"):
        ports(environ(PORT=given))


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"PORT": "8123", "LS_PORT": "8123"}, "are both 8123"),
        ({"IMAGES": "/nowhere"}, "IMAGES=/nowhere is no folder"),
        ({"LABELS": "a,b"}, "make demo IMAGES=folder"),
    ],
)
def test_the_demo_ends_with_one_line_before_anything_starts(
    variables: dict[str, str], told: str, tmp_path: Path
) -> None:
    code = "import sys, pathlib, scripts.demo as demo; demo.HOME = pathlib.Path(sys.argv.pop()); sys.exit(demo.main())"
    clean = {name: value for name, value in os.environ.items() if name not in ("IMAGES", "LABELS")}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(tmp_path / "demo")],
        env={**clean, "PYTHONPATH": str(ROOT), **environ(**variables)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1 and told in " ".join(done.stdout.split()), done.stderr
    assert done.stderr == "" and not (tmp_path / "demo" / "label-studio").exists()

"""Build the sdist and the wheel of this commit, test the wheel, and tag the commit: what `make release` runs.

The version stands in backend/__init__.py alone, and CHANGELOG.md must have a section for it. Nothing is uploaded.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from backend import __version__
from scripts.label_studio_server import ROOT

BUILD = "from setuptools import build_meta; print(build_meta.build_{kind}({out!r}))"
WHEEL = "LABELQUEUE_WHEEL"
"""Names the wheel that tests/packaging/test_wheel.py installs, in place of one that it builds."""


def main() -> int:
    """Refuse, or build, test and tag; returns the exit status."""
    reasons = refusals(ROOT, __version__)
    for reason in reasons:
        print(f"labelqueue: no release: {reason}", file=sys.stderr)
    if reasons:
        return 2
    out = ROOT / "dist"
    with tempfile.TemporaryDirectory() as folder:
        source = committed(ROOT, Path(folder))
        files = [build(source, kind, out) for kind in ("sdist", "wheel")]
    checks = ([sys.executable, "-m", "pip", "check"], [sys.executable, "-m", "pytest", "tests/packaging/test_wheel.py"])
    for command in checks:
        if subprocess.run(command, cwd=ROOT, env={**os.environ, WHEEL: str(files[1])}, check=False).returncode:
            print(f"labelqueue: no release: `{' '.join(command[1:])}` failed", file=sys.stderr)
            return 1
    name = tag(ROOT, __version__)
    print(f"{files[0]}\n{files[1]}\ntagged {name}; publish it: git push origin {name}")
    return 0


def refusals(root: Path, version: str) -> list[str]:
    """Why this commit cannot be released as this version, each with the way out."""
    found = []
    if _git(root, "status", "--porcelain"):
        found.append("the working tree has changes: commit them, or put them away with `git stash -u`")
    if _git(root, "tag", "--list", f"v{version}"):
        found.append(f"v{version} is tagged already: raise __version__ in backend/__init__.py")
    changes = (root / "CHANGELOG.md").read_text()
    if not re.search(rf"^## {re.escape(version)} - \d{{4}}-\d\d-\d\d$", changes, re.M):
        found.append(f'CHANGELOG.md has no section "## {version} - YYYY-MM-DD"')
    unreleased = re.search(r"^## Unreleased\n(.*?)(?=^## |\Z)", changes, re.M | re.S)
    if unreleased and unreleased[1].strip():
        found.append(f'CHANGELOG.md has entries under "Unreleased": move them to {version}')
    return found


def committed(root: Path, folder: Path) -> Path:
    """The files of HEAD: what lies beside them must not get into a package."""
    archive = folder / "source.tar"
    _git(root, "archive", "--output", str(archive), "HEAD")
    with tarfile.open(archive) as files:
        files.extractall(folder / "source", filter="data")
    return folder / "source"


def build(source: Path, kind: str, out: Path) -> Path:
    """A "wheel" or "sdist" of a source tree, by the backend that pyproject.toml names."""
    out.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-P", "-c", BUILD.format(kind=kind, out=str(out))]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=240, check=False)
    if done.returncode:
        raise RuntimeError(f"no {kind} of {source}: {done.stderr}")
    return out / done.stdout.splitlines()[-1]


def tag(root: Path, version: str) -> str:
    """Tag HEAD; returns the tag's name."""
    _git(root, "tag", "--annotate", f"v{version}", "--message", f"LabelQueue {version}")
    return f"v{version}"


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())

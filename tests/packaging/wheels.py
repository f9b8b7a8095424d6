"""Our wheel and sdist, built from what git knows, and an environment that has the package from the wheel only."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

from packaging.requirements import Requirement

from scripts.label_studio_server import ROOT


def tracked(root: Path = ROOT) -> list[str]:
    """Files that git knows or would add, as paths below the root."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=root, check=True, capture_output=True, text=True
    )
    return sorted(line for line in listed.stdout.splitlines() if (root / line).is_file())


def checkout(folder: Path) -> Path:
    """A copy of these files: what a build leaves behind lies there, not in the repository."""
    for name in tracked():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    return folder


def unpack_sdist(file: Path, folder: Path) -> Path:
    """The source tree in an sdist."""
    with tarfile.open(file) as archive:
        archive.extractall(folder, filter="data")
    (root,) = folder.iterdir()
    return root


def files_of(wheel: Path) -> list[str]:
    """What the wheel installs, its metadata left out."""
    with zipfile.ZipFile(wheel) as archive:
        return sorted(name for name in archive.namelist() if ".dist-info/" not in name)


def requirements_of(wheel: Path) -> list[Requirement]:
    """What it needs wherever it is installed, without the extras."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        about = message_from_bytes(archive.read(name))
    found = [Requirement(line) for line in about.get_all("Requires-Dist", [])]
    return [each for each in found if each.marker is None]


def install(wheel: Path, folder: Path) -> Path:
    """A new environment with the wheel; what it requires comes from ours, by a path file, our package does not.

    Returns its `labelqueue`.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=120)
    python = folder / "bin" / "python"
    into = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python), "install"]
    subprocess.run([*into, "--no-deps", "--no-index", str(wheel)], check=True, timeout=240, capture_output=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "requirements.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin" / "labelqueue"

"""What computes here: the same inputs give the same order bit for bit only on the same of it."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path

from backend import __version__

PACKAGES = ("numpy", "scipy", "torch", "numba")
CPU_LIST = Path("/proc/cpuinfo")


def machine() -> dict[str, str]:
    """Name -> version of what the order depends on beside its inputs."""
    import torch

    return {
        "labelqueue": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
        "processor": _processor(),
        "threads": str(torch.get_num_threads()),
    }


def _processor() -> str:
    """The model's name where Linux tells one, else the architecture."""
    lines = CPU_LIST.read_text().splitlines() if CPU_LIST.exists() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, "") or platform.machine()

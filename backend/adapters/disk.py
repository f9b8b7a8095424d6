"""Whether a disk is full: asked at several places, said in the same words."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

LEAST_FREE = 1 << 20  # bytes; below that a disk counts as full
FULL = (errno.ENOSPC, errno.EDQUOT)
ROOM = "make room on it"


def is_full(folder: Path) -> bool:
    """Whether the disk of a folder, or of the nearest one above it that exists, has no room, as far as can be seen."""
    try:
        existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        disk = shutil.disk_usage(existing)
        return disk.total > 0 and disk.free < LEAST_FREE  # /proc and its like have no blocks at all
    except OSError:
        return False


def lacks_room(error: OSError, folder: Path) -> bool:
    """Whether an error of writing into `folder` comes of a full disk, or of an exhausted quota."""
    return error.errno in FULL or is_full(folder)

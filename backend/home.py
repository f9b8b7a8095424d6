"""The home folder: made for its owner alone and kept so, and said in words if it cannot be.

Everything that we make in it is for its owner (folders 0700, files 0600), and so is the folder itself if we make it or
if it is the default one; what is looser and ours is tightened at each start. The rights of another existing folder that
LABELQUEUE_HOME names are its owner's affair. A home with the setgid bit (chmod 2770) is shared by its group on purpose:
there the group keeps its rights.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote

import structlog

from backend.adapters.disk import FULL
from backend.core.errors import BadSetting
from backend.setting_sources import HOME_FILE
from backend.settings import DEFAULT_HOME, Settings, strangers

log = structlog.get_logger()

MADE = ("labelqueue.sqlite*", "up.lock", "valkey", "features", "simulations", "*.log")


def ensure(settings: Settings) -> None:
    """Make the home, or look that it can be used, and take rights that others have to what is ours.

    Raises `BadSetting` that names the folder and the way out. A few calls to the file system.
    """
    home = settings.home
    with usable(home):
        if not home.exists():
            home.mkdir(parents=True, mode=0o700)
    if not home.is_dir():
        raise _impossible(home, NotADirectoryError(errno.ENOTDIR, "it is not a folder"))
    if not os.access(home, os.W_OK | os.X_OK):
        read_only = os.statvfs(home).f_flag & os.ST_RDONLY
        raise _impossible(home, PermissionError(errno.EACCES, "read-only" if read_only else "we may not write in it"))
    shared = bool(home.stat().st_mode & stat.S_ISGID)
    if home == Path(DEFAULT_HOME).expanduser().resolve():
        _tighten(home, shared)
    for pattern in MADE:
        for path in home.glob(pattern):
            _tighten(path, shared)
    if settings.storage_url == f"{home}/features":
        with suppress(OSError):  # who writes there says what is wrong
            Path(settings.storage_url).mkdir(exist_ok=True, mode=0o770 if shared else 0o700)
    with suppress(OSError):
        if (home / HOME_FILE).stat().st_mode & 0o077:
            log.error("others can read it, and it may hold secrets; run: chmod 600", file=str(home / HOME_FILE))
    for what in strangers():
        log.warning(what)


@contextmanager
def usable(home: Path) -> Iterator[None]:
    """Turns errors of the file system within the block into words that name the home and the way out."""
    try:
        yield
    except OSError as error:
        raise _impossible(home, error) from error


def in_use(settings: Settings) -> bool:
    """Whether anything of this installation is kept in the home."""
    places = (settings.database_url, settings.storage_url, settings.redis_url)
    return any(str(settings.home) in text for place in places for text in (place, unquote(place)))


def _tighten(path: Path, shared: bool) -> None:
    with suppress(OSError):  # gone meanwhile, or on a disk that cannot be written
        seen = path.lstat()
        loose = seen.st_mode & (0o007 if shared else 0o077)
        if loose and seen.st_uid == os.geteuid() and not stat.S_ISLNK(seen.st_mode):
            path.chmod(stat.S_IMODE(seen.st_mode) & ~loose)


def _impossible(home: Path, error: OSError) -> BadSetting:
    if error.errno in FULL:
        return BadSetting(
            f"the disk that holds the home folder {home} is full ({error.strerror}); "
            "make room on it, or set LABELQUEUE_HOME to a folder on another disk"
        )
    why = error.strerror or str(error)
    return BadSetting(f"the home folder {home} cannot be used ({why}); set LABELQUEUE_HOME to a folder we may write in")

"""How the texts of settings are read: numbers, lists of words, addresses and paths. What is refused says why."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, get_type_hints
from urllib.parse import quote, unquote, urlsplit

from pydantic import BeforeValidator, Field
from pydantic.fields import FieldInfo

from backend.core.domain import SETTINGS, ProjectSettings
from backend.core.text.masking import ESCAPE
from backend.core.text.numbers import decimal, whole

STORES = ("s3", "gs", "abfss", "az")  # object stores for features


def _text(read: Callable[[str], object]) -> BeforeValidator:
    """Texts are read by `read`; what a caller in Python gives is taken as it is."""
    return BeforeValidator(lambda value: read(value) if isinstance(value, str) else value)


def _split(text: str) -> tuple[str, ...]:
    return tuple(part for part in re.split(r"[,\s]+", text) if part)


Words = Annotated[tuple[str, ...], _text(_split)]
"""Comma or space separated."""
Whole = Annotated[int, _text(whole)]
Decimal = Annotated[float, Field(allow_inf_nan=False), _text(decimal)]
Choice = _text(str.lower)


def of_new_projects() -> dict[str, tuple[object, FieldInfo]]:
    """Name -> type and field of each setting of projects with an installation default, within that setting's limits."""
    types = get_type_hints(ProjectSettings)
    numbers: dict[object, object] = {int: Whole, float: Decimal}
    found: dict[str, tuple[object, FieldInfo]] = {}
    for name, item in SETTINGS.items():
        if item.installation:
            limits = item.kind.taken
            about = f"{item.help[0].upper()}{item.help[1:]} (default of new projects)"
            made = Field(default=item.default, description=about, ge=limits.get("minimum"), le=limits.get("maximum"))
            found[name] = (numbers.get(types[name], types[name]), made)
    return found


def home_path(home: Path) -> Path:
    """The home folder, absolute and without links."""
    try:
        found = home.expanduser().resolve()
        str(found).encode()
    except (OSError, RuntimeError, ValueError) as error:  # too long, a ring of links, no such user, no text
        raise ValueError(f"cannot be found ({error}); name a folder that we may write in") from error
    if any(ord(sign) < 32 or ord(sign) == 127 for sign in str(found)):
        raise ValueError("holds a control character, as a line break; name another folder")
    return found


def sqlite_url(file: Path) -> str:
    """The address of a SQLite file, whatever signs its path has: SQLAlchemy decodes %XX and ends a path at ?."""
    return f"sqlite:///{quote(str(file))}"


def socket_url(socket: Path) -> str:
    """The address of a Unix socket, as `redis.from_url` decodes it."""
    return f"unix://{quote(str(socket))}"


def socket_of(url: str) -> Path:
    """The reverse of `socket_url`."""
    return Path(unquote(url.removeprefix("unix://")))


def storage(text: str) -> str:
    """An absolute folder, or the address of an object store as it stands."""
    scheme, mark, rest = text.partition("://")
    if mark and scheme.lower() == "file":
        if not rest.startswith("/"):
            raise ValueError("as a file address must be file:///folder, with three slashes")
        text = unquote(rest)
    elif mark and scheme in STORES:
        return text
    elif mark or re.match(rf"({'|'.join(STORES)}):", text):
        raise ValueError(f"must be a folder or begin with one of {', '.join(f'{name}://' for name in STORES)}")
    try:
        return str(Path(text).expanduser().absolute())
    except (OSError, RuntimeError) as error:
        raise ValueError(f"is no folder that can be found ({error})") from error


def queue(url: str) -> str:
    """An address of Redis."""
    try:
        parts = urlsplit(url)
        complete = parts.port is None or bool(parts.hostname)
    except ValueError:  # its text may hold a part of the password
        complete = False
    stray = "@" in parts.path + parts.query + parts.fragment if complete and parts.scheme != "unix" else False
    if not complete or stray or parts.scheme not in ("redis", "rediss", "unix"):
        raise ValueError(f"must be redis://, rediss:// or unix://, as redis://user:password@host:6379/0; {ESCAPE}")
    if parts.scheme == "unix" and (parts.fragment or not parts.path.startswith("/")):
        raise ValueError("as a socket must be unix:///folder/name.sock; write # in its path as %23, ? as %3F, % as %25")
    return url


def http(url: str) -> str:
    """A web address without the slash at its end; http:// may be left out."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # its text may hold a part of the password
        known = False
    if not known:
        raise ValueError(f"must be an http:// or https:// address; {ESCAPE}")
    return parts.geturl().rstrip("/")


def header(secret: str) -> str:
    """A token that is sent in an HTTP header as it is, without the space around it."""
    found = secret.strip()
    if not all("!" <= sign <= "~" for sign in found):
        raise ValueError(
            "holds what cannot be sent in a header: a line break, a space, or a sign that is not ASCII (a curly quote, "
            "an invisible space); give it anew, without what was copied along"
        )
    return found


def one_line(secret: str) -> str:
    """A name or password that is sent in base64, without the space around it; any printable sign may be in it."""
    found = secret.strip()
    if not found.isprintable():
        raise ValueError("holds a line break or another sign that cannot be seen; give it anew, without that")
    return found


def host_in_url(host: str) -> str:
    """A host or address as an URL holds it: IPv6 in brackets; every address of this machine as its loopback one."""
    bare = host.strip("[]")
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bare, bare)
    return f"[{shown}]" if ":" in shown else shown

"""What the demo keeps between runs: its secrets, ports and projects, in .demo/ and readable by its owner only."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from scripts.demo_images import DemoError


@dataclass
class DemoHome:
    """`projects` maps the key of a set of images to the Label Studio project that was made of it."""

    folder: Path
    password: str = ""
    token: str = ""
    projects: dict[str, int] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path) -> DemoHome:
        """What an earlier run kept, or fresh secrets."""
        home = cls(folder)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if home.file.exists():
            try:
                kept = json.loads(home.file.read_text())
                home.password, home.token, home.projects = kept["password"], kept["token"], kept["projects"]
            except (ValueError, KeyError) as error:
                raise DemoError(f"{home.file} cannot be read ({error}); start afresh with `make demo-clean`") from error
        else:
            home.password, home.token = secrets.token_urlsafe(9), secrets.token_hex(20)
            home.save()
        return home

    @property
    def file(self) -> Path:
        return self.folder / "demo.json"

    def save(self) -> None:
        new = self.file.with_suffix(".new")
        kept = {name: value for name, value in asdict(self).items() if name != "folder"}
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            json.dump(kept, out)
        new.rename(self.file)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the folder: two demos in it would share one database."""
        with (self.folder / "lock").open("a") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DemoError("a demo runs already from this folder; end it with Ctrl-C in its terminal") from None
            yield


def ports(environ: Mapping[str, str]) -> tuple[int, int]:
    """(Label Studio's port, ours) from LS_PORT and PORT, both free. Raises `DemoError` before anything has started."""
    ls_port, port = _port(environ, "LS_PORT", 8080), _port(environ, "PORT", 9090)
    if ls_port == port:
        raise DemoError(
            f"LS_PORT and PORT are both {port}: Label Studio listens at LS_PORT (8080), LabelQueue at PORT (9090); "
            f"give them two ports, as in: make demo LS_PORT={port} PORT={port + 1}"
        )
    check_port(ls_port, "Label Studio", "LS_PORT")
    check_port(port, "LabelQueue", "PORT")
    return ls_port, port


def _port(environ: Mapping[str, str], name: str, default: int) -> int:
    given = environ.get(name, "").strip() or str(default)
    if not (given.isascii() and given.isdigit() and 0 < int(given) < 65536):
        raise DemoError(f"{name}={given} is no port; give a number from 1 to 65535: make demo {name}={default}")
    return int(given)


def check_port(port: int, who: str, variable: str) -> None:
    """Raise `DemoError` if somebody listens on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise DemoError(
                f"port {port}, which {who} wants, is in use by another program; "
                f"end that program, or choose another port: make demo {variable}={port + 1}"
            ) from None

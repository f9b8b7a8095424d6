"""The command line: `labelqueue`. Errors are one line on stderr: exit 2 if the user can fix it, 1 otherwise."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from io import TextIOWrapper
from typing import Annotated

import typer

from backend import __version__
from backend.cli import base, export, features, projects, replay, run, show, simulate, tune
from backend.core.errors import LabelQueueError, UserError

app = typer.Typer(
    name="labelqueue",
    help="Decides which image a person should label next: an active-learning ML backend for Label Studio.",
    epilog="Settings come from the environment: labelqueue config. What is wrong: labelqueue doctor.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

COMMANDS: dict[str, tuple[Callable[..., None], ...]] = {
    "Run": (run.up, run.serve, run.worker),
    "Projects": (projects.connect, projects.disconnect, projects.strategy, tune.set, projects.learn, projects.sync),
    "Learning": (features.features, features.curve),
    "Look": (show.status, show.queue, projects.tasks, show.strategies, show.doctor, run.config),
    "Try out and take away": (simulate.simulate, replay.replay, export.export, export.predict),
}
CURES = {
    errno.ENOSPC: "make room on the disk that is written to",
    errno.EDQUOT: "make room: the quota of this user is used up",
    errno.EACCES: "give this user the right to it, or name another place",
    errno.EPERM: "give this user the right to it, or name another place",
    errno.EROFS: "it lies on a disk that cannot be written; name another place",
    errno.EEXIST: "it is a file; name a folder",
    errno.ENOTDIR: "a part of it is a file; name a folder",
    errno.EISDIR: "it is a folder; name a file",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}
for theme, commands in COMMANDS.items():
    for command in commands:
        cls = tune.SetCommand if command is tune.set else None
        app.command(cls=cls, rich_help_panel=theme)(command)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"labelqueue {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """See the module."""


def main() -> None:
    """Entry point of the console script."""
    from backend.settings import debug

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that lacks a sign is no reason to end
    try:
        app()
    except LabelQueueError as error:
        if debug():
            raise
        base.tell(f"labelqueue: {error}", err=True)
        sys.exit(2 if isinstance(error, UserError) else 1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader (head, less) has seen enough
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:  # a full disk, a folder without rights: the world's, wherever it was met
        if debug():
            raise
        where = f": {error.filename}" if error.filename else ""
        cure = CURES.get(error.errno or 0, "LABELQUEUE_DEBUG=1 shows where this arose")
        base.tell(f"labelqueue: {error.strerror or error}{where}; {cure}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()

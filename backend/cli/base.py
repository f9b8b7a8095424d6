"""What the commands share: opening the services, options, output. Heavy imports stay inside functions."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from backend.core.errors import BadSetting
from backend.core.text.json_text import BadJson, parse, rounded

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from backend.core.domain import JobView, Project
    from backend.core.json_values import JSON
    from backend.core.queue.nudges import Asked
    from backend.core.services import Services
    from backend.settings import Settings

WIDE = 160
LOOK_SECONDS = 0.3


class Report(Protocol):
    """Moves a progress bar; `now` names the part that is under way."""

    def __call__(self, done: int, total: int, now: str = ...) -> None: ...


MOST_ID = 2**63 - 1
ProjectId = Annotated[
    int,
    typer.Argument(
        metavar="PROJECT", help="Label Studio's number of the project, as in its address.", min=1, max=MOST_ID
    ),
]
AnyProject = Annotated[
    int | None,
    typer.Argument(
        metavar="[PROJECT]", help="Label Studio's number of the project; without it, all.", min=1, max=MOST_ID
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Params = Annotated[
    list[str] | None,
    typer.Option("--param", "-p", metavar="KEY=VALUE", help="A parameter of the strategy; may be repeated."),
]


def settings(**given: object) -> Settings:
    """The settings, with options of the command line before the environment; options not given are None."""
    from backend.settings import load

    return load(**{name: value for name, value in given.items() if value is not None})


def services(made: Settings | None = None) -> Services:
    """The real services for a short command: the log shows only what is wrong."""
    from backend import wiring

    made = made or settings()
    quiet(made)
    return wiring.services(made)


def quiet(made: Settings) -> None:
    """Log only what is wrong, unless everything was asked for."""
    from backend import logs

    logs.configure(made, process="cli", least="debug" if made.log_level == "debug" else "error")


def find(opened: Services, number: int) -> Project:
    """The connected project with Label Studio's id `number`."""
    return opened.projects.by_ls_id(number)


def parse_params(pairs: Iterable[str]) -> dict[str, JSON]:
    """KEY=VALUE texts; a value that is JSON is taken as such, anything else as a text."""
    out: dict[str, JSON] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise BadSetting(f"--param {pair!r} is not of the form KEY=VALUE")
        try:
            out[key.strip()] = parse(value, key)
        except BadJson:
            out[key.strip()] = value
    return out


def console() -> Console:
    """The terminal; a file or pipe counts as wide, so that lines stay whole."""
    from backend.cli.terminal import Terminal

    return Terminal(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else WIDE)


@contextmanager
def progress(what: str) -> Iterator[Report]:
    """A bar on stderr, moved by calling with (done, total) and, for a part, what it is now; only on a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from backend.cli.terminal import Terminal, shown

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Terminal(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(what, total=None)

        def report(done: int, total: int, now: str = what) -> None:
            bar.update(task, completed=done, total=total, description=shown(now))

        yield report


def print_json(value: object) -> None:
    """Indented JSON on stdout; its texts are exact, with what would act on a terminal escaped as JSON does."""
    from backend.core.text.printable import json_printable

    typer.echo(json_printable(json.dumps(rounded(value), indent=2, ensure_ascii=False, default=str)))


def follow(opened: Services, asked: Asked, project: int, *, wait: bool) -> None:
    """Say what happens next with a job that was asked for and, if so wished, wait until it is done.

    Raises `NotDone`. Ctrl-C ends the waiting only, and says so.
    """
    from backend.core.project.asking import NotDone, outlook
    from backend.core.project.asking import wait as until_done

    seen = outlook(opened, asked)
    if not wait:
        tell(f"{seen.words}. See it: labelqueue status {project} --watch; or wait for it: --wait")
        return
    if not seen.waits:
        raise NotDone(seen.words)
    tell(seen.words, err=True)
    try:
        with progress("waiting") as report:

            def pause(view: JobView | None) -> None:
                report(view.done if view else 0, view.total if view else 0, view.state if view else "done")
                time.sleep(LOOK_SECONDS)

            until_done(opened, asked.key, pause)
    except KeyboardInterrupt:
        tell(f"not waiting any longer; the job goes on in its worker: labelqueue status {project}", err=True)
        raise


def columns(*cells: str, err: bool = False) -> None:
    """One line of texts with tabs between them, for other programs to read."""
    from backend.cli.terminal import shown

    typer.echo("\t".join(map(shown, cells)), err=err)


def tell(text: str, *, err: bool = False) -> None:
    """One line on stdout, or on stderr."""
    from backend.cli import terminal

    terminal.tell(text, err=err)


def table(columns: Iterable[str], rows: Iterable[Iterable[str]], *, right: Iterable[str] = ()) -> Table:
    """A plain table of texts (no markup is read in them); the columns named in `right` hold numbers."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from backend.cli.terminal import shown

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    numbers = set(right)
    for column in columns:
        made.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    for row in rows:
        made.add_row(*(Text(shown(cell)) for cell in row))
    return made

"""Commands that only look: status, queue, strategies, doctor."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backend.cli import base
from backend.core.text.masking import mask_url

STORE_SECONDS = 15.0  # Lance gives up on a missing bucket in 3 s, on a server that does not answer after minutes

if TYPE_CHECKING:
    from backend.core.project.doctor import Finding
    from backend.core.project.status import ProjectStatus, QueueItem
    from backend.core.services import Services
    from backend.settings import Settings


def status(
    project: base.AnyProject = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Stay and show how it changes.")] = False,
    as_json: base.AsJson = False,
) -> None:
    """Show the state of projects: tasks, labels, strategy, live order, accuracy, jobs, workers.

    Example: labelqueue status 3 --watch
    """
    opened = base.services()
    if watch and not as_json:
        _watch(opened, project)
        return
    while True:
        seen = _statuses(opened, project)
        if as_json:
            base.print_json(seen[0].to_json() if project is not None else [item.to_json() for item in seen])
        else:
            base.console().print(_render(seen))
        if not watch:
            return
        time.sleep(1)


def _statuses(opened: Services, project: int | None) -> list[ProjectStatus]:
    from backend.core.project.status import status as look

    projects = opened.projects.all() if project is None else [base.find(opened, project)]
    if not projects:
        opened.jobs.ping()  # where there are some, their jobs are asked for
    return [look(opened, item) for item in projects]


def _watch(opened: Services, project: int | None) -> None:
    from rich.live import Live

    with Live(_render(_statuses(opened, project)), console=base.console(), auto_refresh=False) as live:
        while True:
            time.sleep(1)
            live.update(_render(_statuses(opened, project)), refresh=True)


def _render(seen: list[ProjectStatus]):  # type: ignore[no-untyped-def]  # rich is imported late
    from backend.cli.render import render

    return render(seen)


def queue(
    project: base.ProjectId,
    limit: Annotated[int, typer.Option("--limit", "-n", help="Most tasks to list.", min=1, max=1000)] = 20,
    as_json: base.AsJson = False,
) -> None:
    """List the tasks that annotators get next, with the reason for each.

    Example: labelqueue queue 3 --limit 50
    """
    from backend.core.project.status import queue as look

    opened = base.services()
    items = look(opened, base.find(opened, project), limit)
    if as_json:
        base.print_json([item.to_json() for item in items])
        return
    rows = [(str(item.position), str(item.task), item.note, _guess(item), (item.image or "")[:80]) for item in items]
    shown = base.table(("#", "Task", "Why", "Guess", "Image"), rows, right=["#", "Task"])
    base.console().print(shown if rows else "no order is live yet, or all of it is labeled: labelqueue status")


def _guess(item: QueueItem) -> str:
    if item.audit:
        return "audit: none shown"
    return f"{item.guess.choice} {item.guess.confidence:.0%}" if item.guess else ""


def strategies(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A strategy whose parameters are shown with their ranges.")
    ] = None,
    as_json: base.AsJson = False,
) -> None:
    """List the strategies with what each needs and takes.

    Example: labelqueue strategies typiclust; one is chosen by: labelqueue strategy 3 typiclust
    """
    from backend.core.project.catalog import catalog

    cards = catalog(name)
    if as_json:
        base.print_json([card.to_json() for card in cards])
        return
    rows = [
        (
            card.name,
            card.summary,
            "labels" if "probs" in card.needs else "",
            ", ".join(f"{name}={field['default']}" for name, field in card.params.items()),
        )
        for card in cards
    ]
    base.console().print(base.table(("Name", "What it does", "Needs", "Parameters"), rows))
    if name is not None:
        fields = [(key, str(field["default"]), *_range(field)) for key, field in cards[0].params.items()]
        base.console().print(base.table(("Parameter", "Default", "From", "To", "Why no further"), fields))


def _range(field: Mapping[str, object]) -> tuple[str, str, str]:
    """From, to and why, of a parameter that is a number."""
    if "maximum" not in field:
        return "", "", ""
    return str(field["minimum"]), str(field["maximum"]), str(field["reason"])


def doctor(
    project: base.AnyProject = None,
    as_json: base.AsJson = False,
) -> None:
    """Find what is wrong and say how to fix it. Exit status 1 if anything is wrong.

    Example: labelqueue doctor 3
    """
    made = base.settings()
    found = [item.masked() for item in _findings(made, project)]
    if as_json:
        base.print_json([item.to_json() for item in found])
    else:
        out = base.console()
        signs = {"ok": "[green]ok  [/]", "warn": "[yellow]warn[/]", "fail": "[red]fail[/]"}
        from rich.markup import escape

        for item in found:
            out.print(f"{signs[item.level]} {escape(item.what)}")
            if item.cure:
                out.print(f"       -> {escape(item.cure)}")
    raise typer.Exit(any(item.level == "fail" for item in found))


def _findings(made: Settings, project: int | None) -> list[Finding]:
    from backend.core.errors import LabelQueueError
    from backend.core.project.doctor import Finding, diagnose, told
    from backend.local.reach import reach
    from backend.settings import strangers

    found = [Finding("warn", *what.split("; ", 1)) for what in strangers()]
    try:
        opened = base.services(made)
    except LabelQueueError as error:
        return [*found, told(error)]
    asked = None if project is None else [project]
    stored = "can be read; that it can be written was not tried" if "://" in made.storage_url else "can be written"
    storage = partial(storage_trouble, made.storage_url)
    return [*found, *diagnose(opened, asked, reach=reach, storage=storage, stored=stored)]


def storage_trouble(url: str) -> str:
    """Why a local folder cannot be written, or an object store be read, and what to do, or ""."""
    from backend.adapters.disk import ROOM, is_full

    if "://" in url:
        return _remote_trouble(url)
    folder = Path(url)
    existing = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    if not existing.is_dir():
        return f"{existing} is not a folder; move it away, or set STORAGE_URL to a folder"
    if not os.access(existing, os.W_OK | os.X_OK):
        return f"{existing} cannot be written; give us the right to write there, or set STORAGE_URL to another folder"
    return f"the disk that holds {folder} is full; {ROOM}" if is_full(existing) else ""


def _remote_trouble(url: str) -> str:
    """Why an object store cannot be read: it is asked as a job asks, for features that nobody has."""
    from backend.adapters.features.store import LanceFeatures
    from backend.core.errors import StorageError

    told = [f"{mask_url(url)} does not answer within {STORE_SECONDS:g} s; check STORAGE_URL and the network"]

    def ask() -> None:
        try:
            LanceFeatures(url).ids(0, 0)
        except StorageError as error:
            told[:] = [str(error)]
        else:
            told[:] = [""]

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(STORE_SECONDS)
    return told[0]

"""Commands that change something: connect, disconnect, strategy, learn, sync, tasks --retry."""

from __future__ import annotations

from typing import Annotated

import typer

from backend.cli import base


def connect(
    project: base.ProjectId,
    url: Annotated[
        str | None, typer.Option(help="Our address as Label Studio reaches it; default PUBLIC_URL.", show_default=False)
    ] = None,
    strategy: Annotated[str | None, typer.Option(help="Strategy to begin with.")] = None,
    param: base.Params = None,
    batch_size: Annotated[int | None, typer.Option(help="New labels that cause a re-ranking.", min=1)] = None,
    as_json: base.AsJson = False,
) -> None:
    """Connect a Label Studio project: adds us as its model, secures the webhook, starts the embedding.

    The web process must be running, because Label Studio calls it. Connecting twice does no harm.

    Example: labelqueue connect 3 --strategy typiclust
    """
    from backend.core.project.connect import connect as run

    extra = {"strategy": strategy, "params": base.parse_params(param or []) or None, "batch_size": batch_size}
    done = run(base.services(), project, url, extra_params={k: v for k, v in extra.items() if v is not None})
    if as_json:
        read = done.project.config
        config = {"target": read.target.kind, "tag": read.target.tag, "classes": list(read.classes)} | {
            "images": list(read.shown),
            "problem": read.problem,
            "left_out": dict(read.left_out),
            "unshown": dict(read.unshown),
        }
        base.print_json(
            {"project": project, "title": done.project.title, "config": config, "url": done.backend.url}
            | {"strategy": done.project.strategy.name, "preset": done.project.preset, "notes": list(done.notes)}
        )
        return
    out = base.console()
    out.print(f"Project {project} ({done.project.title}) is connected under {done.backend.url}.", markup=False)
    out.print(
        f"Its images are embedded now; the first order is live after that: labelqueue status {project}", markup=False
    )
    for note in done.notes:
        out.print(f"Note: {note}", markup=False)


def disconnect(
    project: base.ProjectId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Disconnect a Label Studio project and delete its features and rankings here. Its labels stay in Label Studio.

    Example: labelqueue disconnect 3
    """
    from backend.core.project.connect import disconnect as run

    if not yes:
        typer.confirm(f"Remove LabelQueue from project {project} and forget its features and rankings?", abort=True)
    for line in run(base.services(), project):
        base.tell(line)


def strategy(
    project: base.ProjectId,
    name: Annotated[
        str | None, typer.Argument(help="Strategy to switch to; without it, the present one is shown.")
    ] = None,
    param: base.Params = None,
    as_json: base.AsJson = False,
) -> None:
    """Show or switch the strategy; the new order is live after one learning round.

    A preset (asvp-SELECTOR, svpp-SELECTOR, activedc) sets renewal and calibrate as well, until the next switch.

    Example: labelqueue strategy 3 margin; the names: labelqueue strategies
    """
    from backend.core.project import wording
    from backend.core.project.strategy import switch

    opened = base.services()
    found = base.find(opened, project)
    chosen = found.strategy
    if name is not None:
        chosen = switch(opened, found.id, name, base.parse_params(param or []))
    elif param:
        chosen = switch(opened, found.id, None, dict(chosen.params) | base.parse_params(param))
    preset = base.find(opened, project).preset
    if as_json:
        base.print_json({"name": chosen.name, "params": dict(chosen.params), "preset": preset})
        return
    base.tell(wording.strategy(chosen.name, preset, chosen.params))


Wait = Annotated[bool, typer.Option("--wait", help="Stay until it is done and show the result.")]


def learn(project: base.ProjectId, wait: Wait = False) -> None:
    """Train and rank now, as "Start Training" in Label Studio does. Exit status 1 if --wait sees it fail.

    Example: labelqueue learn 3 --wait
    """
    from backend.core.project import asking
    from backend.core.queue.nudges import learn as run

    opened = base.services()
    found = base.find(opened, project)
    latest = opened.rankings.latest(found.id)
    asked = run(opened, found)
    base.follow(opened, asked, project, wait=wait)
    if wait:
        base.tell(asking.learnt(opened, found, latest.id if latest else 0))


def sync(project: base.ProjectId, wait: Wait = False) -> None:
    """Compare all tasks and labels with Label Studio now; the workers do so by themselves every few minutes.

    Exit status 1 if --wait sees it fail.

    Example: labelqueue sync 3 --wait
    """
    from backend.core.project import asking
    from backend.core.queue.nudges import look

    opened = base.services()
    found = base.find(opened, project)
    before = asking.task_ids(opened, found) if wait else set()
    asked = look(opened, found)
    base.follow(opened, asked, project, wait=wait)
    if wait:
        base.tell(asking.looked(opened, found, before))


def tasks(
    project: base.ProjectId,
    failed: Annotated[
        bool, typer.Option("--failed", help="Only images that could not be embedded, with the reason.")
    ] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Try the failed images again.")] = False,
    limit: Annotated[int, typer.Option(help="Most tasks to list.", min=1)] = 1000,
    as_json: base.AsJson = False,
) -> None:
    """List tasks with their state.

    Example: labelqueue tasks 3 --failed; once fixed: labelqueue tasks 3 --retry
    """
    from dataclasses import asdict

    from backend.core.queue.nudges import retry as run

    opened = base.services()
    found = base.find(opened, project)
    if retry:
        count = run(opened, found)
        base.print_json({"retried": count}) if as_json else base.tell(f"{count} images are tried again")
        return
    listed = opened.tasks.list(found.id, state="failed" if failed else None, limit=limit)
    if as_json:
        base.print_json([asdict(task) for task in listed])
        return
    rows = [
        (
            str(task.id),
            task.state,
            task.label or "annotated" * task.annotated + "skipped" * task.skipped,
            (task.image or "")[:100],
            task.reason,
        )
        for task in listed
    ]
    columns = ("Task", "State", "Label", "Image", "Reason")
    base.console().print(base.table(columns, rows, right=["Task"]) if rows else "no such tasks")

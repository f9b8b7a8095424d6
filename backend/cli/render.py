"""Draw the status of projects for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.markup import escape as unmarked
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from backend.cli.terminal import shown
from backend.core.domain import JobView
from backend.core.project import wording
from backend.core.project.status import ProjectStatus
from backend.core.project.wording import duration

MOST_CLASSES = 20


def render(seen: Sequence[ProjectStatus]) -> RenderableType:
    """All projects one under the other."""
    if not seen:
        return Text("no project is connected; run: labelqueue connect PROJECT")
    return Group(*(_project(item) for item in seen))


def escape(text: str) -> str:
    """A text from the world within rich's markup."""
    return unmarked(shown(text))


def _project(item: ProjectStatus) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in _lines(item):
        grid.add_row(name, value)
    head = Text.from_markup(f"[bold]{escape(item.title or 'Project')}[/] [dim]project {item.project}[/]")
    return Group(head, Padding(grid, (0, 0, 1, 2)))


def _lines(item: ProjectStatus) -> list[tuple[str, str]]:
    lines = [
        ("tasks", f"{item.tasks}, {item.embedded} embedded{_failed(item)}{_left(item)}"),
        ("labeled", escape(wording.labeled(item.labeled, item.annotated, item.skipped, item.empty))),
        ("classes", _classes(item)),
        ("learns from", escape(wording.learns_from(item.learns_from, item.left_out, item.config_problem))),
        ("strategy", escape(wording.strategy(item.strategy, item.preset, item.params))),
        ("live order", _live(item)),
        ("accuracy", wording.accuracy(item.accuracy, item.head)),
        ("audit", wording.audit(item.audit, item.audit_share)),
        ("model", escape(wording.head(item.head))),
        ("features", _features(item)),
        *_renewal(item),
        ("queue", f"{item.queued} jobs and {item.backlog} events wait"),
        ("workers", _workers(item)),
    ]
    lines += [("job", _job(job)) for job in item.jobs]
    if item.healed:
        lines.append(("repaired", escape(wording.healed(item.healed, item.at))))
    if item.problem:
        lines.append(("problem", f"[red]the newest order is not live: {escape(item.problem.reason)}[/]"))
    return lines


def _failed(item: ProjectStatus) -> str:
    return f", [red]{item.failed} failed[/] (labelqueue tasks {item.project} --failed)" if item.failed else ""


def _left(item: ProjectStatus) -> str:
    return f", {item.pending} to go{_eta(item.eta)}" if item.pending else ""


def _eta(eta: float | None) -> str:
    return f" in about {duration(eta)}" if eta is not None else ""


def _classes(item: ProjectStatus) -> str:
    shown = [f"{escape(name)} {count}" for name, count in list(item.classes.items())[:MOST_CLASSES]]
    more = len(item.classes) - len(shown)
    return ", ".join(shown + ([f"and {more} more"] if more else [])) or "none in the label config"


def _live(item: ProjectStatus) -> str:
    if item.live is None:
        done = item.embedded and not item.open and not item.pending
        return "none: no image is left to label" if done else "none yet"
    live = item.live
    return f"ranking {live.id}, {duration(live.age)} old, {live.remaining} of {live.size} tasks left ({live.version})"


def _features(item: ProjectStatus) -> str:
    rate = f", embedded at {item.embed_rate:.1f} images/s a worker" if item.embed_rate else ""
    return f"version {item.features_version}{rate}"


def _renewal(item: ProjectStatus) -> list[tuple[str, str]]:
    """The advice; what it would cost if it is due; how far it is if one is under way."""
    lines = [("renewal", escape(wording.advice(item.advice, item.mode)))]
    if item.renewal:
        lines.append(("under way", escape(wording.under_way(item.renewal))))
    elif item.advice and item.advice.action == "renew":
        cost = wording.cost(item.advice.train_seconds, item.advice.embed_seconds)
        lines.append(("cost", f"{cost} (labelqueue features {item.project} --renew)"))
    return lines


def _workers(item: ProjectStatus) -> str:
    if not item.workers:
        return "[red]none; run: labelqueue worker[/]"
    return ", ".join(escape(f"{worker.name} ({worker.device or 'no device yet'})") for worker in item.workers)


def _job(job: JobView) -> str:
    if job.state == "failed":
        return f"[red]{escape(job.name)} failed: {escape(job.error)}[/]"
    parts = [job.name]
    if job.total:
        parts.append(f"{job.done} of {job.total}")
    if job.rate > 0:
        parts.append(f"{job.rate:.1f}/s")
    return escape(", ".join(parts))

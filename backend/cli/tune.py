"""The command `set`, alone here because its name is also Python's."""

from __future__ import annotations

from textwrap import wrap
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from backend.cli import base

WIDTH = 56  # of the texts beside the settings


class SetCommand(TyperCommand):
    """Names the settings in its help, which needs the table: it is loaded when somebody asks."""

    # Any: the classes of typer's own copy of click have no public names
    def format_help(self, ctx: Any, formatter: Any) -> None:
        self.help = (self.help or "").replace("SETTINGS", settings_help())
        super().format_help(ctx, formatter)


def set(
    project: base.ProjectId,
    pairs: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE...", help="What to set; without it, all are shown.")
    ] = None,
    as_json: base.AsJson = False,
) -> None:
    """Show or change the settings of a project; they act from the next learning round.

    \b
    SETTINGS

    Example: labelqueue set 3 batch_size=20 audit_share=0.1 renewal=off
    """
    from backend.core.project.tuning import as_text, change

    opened = base.services()
    kept = change(opened, base.find(opened, project), base.parse_params(pairs or []))
    if as_json:
        base.print_json(kept)
        return
    now = base.find(opened, project)
    for name, value in kept.items():
        by = f"  (by the preset {now.preset})" if now.preset and name in now.before_preset else ""
        base.tell(f"{name}={as_text(value)}{by}")


def settings_help() -> str:
    """All settings with their defaults, what they do and what they take; a name a line."""
    from backend.core.domain import SETTINGS
    from backend.core.project.tuning import as_text

    lines: list[str] = []
    for item in SETTINGS.values():
        first, *more = wrap(f"{item.help} ({item.kind.words})", WIDTH)
        lines += [f"{f'{item.name}={as_text(item.default)}':<21}{first}", *(" " * 21 + line for line in more)]
    return "\n".join(lines)

"""The command `set`, alone here because its name is also Python's."""

from __future__ import annotations

from typing import Annotated

import typer

from backend.cli import base


def set(
    project: base.ProjectId,
    pairs: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE...", help="What to set; without it, all are shown.")
    ] = None,
    as_json: base.AsJson = False,
) -> None:
    """Show or change the settings of a project; they act from the next learning round.

    \b
    batch_size=20        new labels that cause a re-ranking
    min_interval=5       least seconds between two re-rankings
    head_size=100        tasks published at once, or default
    preannotate=on       put the guess into the annotator's form, or off
    audit_share=0.05     tasks drawn at random to judge by, 0 to 0.5; more of them
                         are drawn from later tasks only
    renewal=suggest      who starts to fine-tune: off, suggest, auto, default
    calibrate=off        on: fine-tune on guessed labels as well
    learn_from=TAG       the tag of the label config to learn from; default: the
                         first that can be learnt from. Labels are read anew

    Example: labelqueue set 3 batch_size=20 audit_share=0.1 renewal=off
    """
    from backend.core.project.tuning import change

    opened = base.services()
    kept = change(opened, base.find(opened, project), base.parse_params(pairs or []))
    if as_json:
        base.print_json(kept)
        return
    now = base.find(opened, project)
    for name, value in kept.items():
        by = f"  (by the preset {now.preset})" if now.preset and name in now.before_preset else ""
        base.tell(f"{name}={_shown(value)}{by}")


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "default" if value in (None, "") else str(value)

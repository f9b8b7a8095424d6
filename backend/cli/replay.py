"""The command replay: make a stored ranking again."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from backend.cli import base

if TYPE_CHECKING:
    from backend.core.replay.again import Replayed


def replay(
    ranking: Annotated[
        int, typer.Argument(metavar="RANKING", help="Its number: 12 for the model version labelqueue-7-r12.", min=1)
    ],
    as_json: base.AsJson = False,
) -> None:
    """Make a ranking again from its labels and features of then, and compare it with the stored one.

    On the same machine type with the same packages it comes out the same bit for bit; otherwise what differs is named.
    Exit status 1 if it is not the same. Nothing is stored or published, and newer labels play no part.

    Example: labelqueue replay 12
    """
    from backend.core.replay.again import replay as again

    found = again(base.services(), ranking)
    if as_json:
        base.print_json(found.to_json())
    else:
        _show(found)
    raise typer.Exit(not found.same)


def _show(found: Replayed) -> None:
    when = datetime.fromtimestamp(found.created_at).strftime("%Y-%m-%d %H:%M")
    base.tell(
        f"ranking {found.ranking} of project {found.project}: {found.strategy}, {found.stored} tasks, features version "
        f"{found.features_version}, made {when}"
    )
    if found.same:
        base.tell("the same: every task at its place, with the same score and guess")
    else:
        base.tell(f"not the same from place {found.place} on; {found.shared} of {found.stored} tasks are in both")
    for what in found.differs:
        base.tell(f"  {what}")
    if not found.same and not found.differs:
        base.tell("  nothing that we keep of it differs: another device (CUDA), or a fault of ours; please report it")

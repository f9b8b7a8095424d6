"""Commands on what is learnt: features (versions, advice, renewal) and curve."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from backend.cli import base
from backend.core.errors import UserError

if TYPE_CHECKING:
    from backend.core.learning.curve import Accuracy, Round
    from backend.core.renewal.view import Features, Version


def features(
    project: base.ProjectId,
    renew: Annotated[bool, typer.Option("--renew", help="Fine-tune the backbone on the labels now.")] = False,
    method: Annotated[
        str | None,
        typer.Option(help="lp-ft (head first, for few labels) or ft; default: by the number of labels."),
    ] = None,
    cancel: Annotated[bool, typer.Option("--cancel", help="Stop the renewal that is under way.")] = False,
    rollback: Annotated[
        int | None, typer.Option(metavar="VERSION", help="Serve from this version again.", min=1)
    ] = None,
    as_json: base.AsJson = False,
) -> None:
    """List the versions of the features, and whether to renew them; start, cancel or roll back a renewal.

    A renewal runs in the workers while the present version goes on serving; the new one serves only if it is better
    on labels that its training did not see.

    Example: labelqueue features 3 --renew; back to what was before: labelqueue features 3 --rollback 1
    """
    from backend.core.renewal.renew import act
    from backend.core.renewal.view import features as look

    if sum((renew, cancel, rollback is not None)) > 1:
        raise UserError("give one of --renew, --cancel and --rollback")
    if method is not None and not renew:
        raise UserError("--method goes with --renew")
    opened = base.services()
    found = base.find(opened, project)
    action = "start" if renew else "cancel" if cancel else "rollback" if rollback is not None else None
    done = act(opened, found, action, method=method, version=rollback) if action else ""
    seen = look(opened, base.find(opened, project))
    if as_json:
        base.print_json(seen.to_json())
        return
    _show(seen, done)


def _show(seen: Features, done: str) -> None:
    from backend.core.project import wording

    out = base.console()
    if done:
        out.print(done, markup=False)
    columns = ("Version", "State", "Made by", "Method", "Labels", "Accuracy", "p", "When", "Why")
    out.print(base.table(columns, map(_row, seen.versions), right=["Version", "Labels", "p"]))
    out.print(f"advice: {wording.advice(seen.advice, seen.mode)}", markup=False)
    train, embed = (seen.advice.train_seconds, seen.advice.embed_seconds) if seen.advice else (None, None)
    out.print(f"cost: {wording.cost(train, embed)}", markup=False)
    if seen.under_way:
        out.print(f"under way: {wording.under_way(seen.under_way)}", markup=False)
    elif seen.advice and seen.advice.action == "renew" and seen.mode == "suggest":
        out.print(f"start it: labelqueue features {seen.project} --renew", markup=False)
    for item in seen.versions:
        if item.pseudo:
            out.print(f"version {item.version}: {_agreement(item.pseudo)}", markup=False)


def _row(item: Version) -> tuple[str, ...]:
    judged = item.accuracy_old is not None and item.accuracy_new is not None
    return (
        str(item.version),
        item.state,
        item.backbone,
        item.method or "",
        str(item.labels) if item.method else "",
        f"{item.accuracy_old:.1%} -> {item.accuracy_new:.1%}" if judged else "",
        f"{item.p:.3f}" if item.p is not None else "",
        _when(item.created_at),
        item.reason,
    )


def _agreement(counts: Mapping[str, int]) -> str:
    if not counts["labeled"]:
        return f"trained with {counts['pseudo']} guessed labels, none of which has a label of a person yet"
    return f"trained with {counts['pseudo']} guessed labels; people agree with {counts['agree']} of {counts['labeled']}"


def _when(at: float) -> str:
    return datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M")


def curve(project: base.ProjectId, as_json: base.AsJson = False) -> None:
    """Show the accuracy of each learning round: out of fold, and on the audit's labels, which are drawn at random.

    Out of fold is judged on labels that the strategy chose, often the hard ones, and its interval is for one look. The
    audit says what a random image would meet; its intervals hold at every look and in all rounds at once.

    Example: labelqueue curve 3 --json
    """
    from backend.core.learning.curve import curve as look

    opened = base.services()
    rounds = look(opened, base.find(opened, project))
    if as_json:
        base.print_json([item.to_json() for item in rounds])
        return
    rows = [_round(item) for item in rounds]
    columns = ("Labels", "Out of fold (one look)", "Audit (every look)", "on", "Calibration error", "Features", "When")
    empty = "no learning round yet: labels of two classes are needed"
    out = base.console()
    out.print(base.table(columns, rows, right=["Labels", "on", "Features"]) if rows else empty)
    if any(_for_one_look(item.audit) for item in rounds):
        out.print("* judged by an earlier version of LabelQueue: an interval for one look", markup=False)


def _round(item: Round) -> tuple[str, ...]:
    return (
        str(item.labels),
        _told(item.accuracy),
        _told(item.audit) + "*" * _for_one_look(item.audit),
        str(item.audit.labels) if item.audit else "",
        f"{item.ece:.1%}" if item.ece is not None else "",
        str(item.features_version),
        _when(item.at),
    )


def _for_one_look(value: Accuracy | None) -> bool:
    return value is not None and value.population is None


def _told(value: Accuracy | None) -> str:
    from backend.core.project.wording import interval

    return interval(value) if value else ""

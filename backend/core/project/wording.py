"""Figures in words, the same on the terminal and on the page."""

from __future__ import annotations

from collections.abc import Mapping

from backend.core.domain import LabelConfig
from backend.core.learning.curve import Accuracy, HeadView
from backend.core.project.status import Healing
from backend.core.renewal.view import Advice, UnderWay

UNMEASURED = "not measured yet"


def reads(config: LabelConfig) -> list[str]:
    """What a label config is learnt from and what is left out of it, where there is something to tell."""
    told = []
    spare = [tag for tag, why in config.left_out if not why]
    refused = [f"{tag} ({why})" for tag, why in config.left_out if why]
    target = config.target
    if target.kind == "set":
        told.append(f"a label is the set of those of {len(target.classes)} classes that {target.tag} shows to be there")
    if config.learnt and config.left_out:
        out = [f"left out: {', '.join(refused)}"] if refused else []
        out += [f"not used: {', '.join(spare)} (labelqueue set PROJECT learn_from=TAG to change)"] if spare else []
        told.append("; ".join([f"learns from {target.tag}", *out]))
    if len(config.shown) > 1:
        told.append(f"a task's images are those of all Image tags ({', '.join(config.shown)}), as one vector")
    told += [f"the Image tag {tag} is left out: its {why}" for tag, why in config.unshown]
    return told


def labeled(labels: int, annotated: int, skipped: int, empty: int = 0) -> str:
    """ "12, 4 of them without any class, 3 annotated (nothing to learn from), 2 skipped"."""
    more = [f"{empty} of them without any class"] * bool(empty)
    more += [f"{annotated} annotated (nothing to learn from)"] * bool(annotated) + [f"{skipped} skipped"] * bool(
        skipped
    )
    return ", ".join([str(labels), *more])


def learns_from(tag: str | None, left_out: Mapping[str, str], problem: str) -> str:
    """The tag, and why others are not; or why there is none."""
    if tag is None:
        return f"nothing: {problem or 'no tag of the label config can be learnt from'}"
    others = ", ".join(f"{name} ({why or 'could be: set learn_from'})" for name, why in left_out.items())
    return f"{tag}; not from {others}" if others else tag


def duration(seconds: float) -> str:
    """Seconds in words: 42 s, 5 min, 3 h, 2 days."""
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 86_400:.0f} days"


def strategy(name: str, preset: str | None, params: Mapping[str, object]) -> str:
    """ "asvp-margin (margin) k=2": as people named it, and the selector that a preset stands for."""
    named = f"{preset} ({name})" if preset else name
    return " ".join([named, *(f"{key}={value}" for key, value in params.items())])


def interval(value: Accuracy) -> str:
    """ "75.0% (60.0% to 90.0%)", with what it is unless that is the accuracy."""
    named = "" if value.measure == "accuracy" else f"{value.measure} "
    return f"{named}{value.value:.1%} ({value.low:.1%} to {value.high:.1%})"


def accuracy(value: Accuracy | None, head: HeadView | None) -> str:
    """Out of fold, with the calibration error where it was judged."""
    if value is None:
        return "not enough labels"
    error = f", calibration error {head.ece:.1%}" if head and head.ece is not None else ""
    return f"{interval(value)} out of fold, interval for one look{error}"


def audit(value: Accuracy | None, share: float) -> str:
    """On labels drawn at random, of which tasks, and whether the interval holds at every look; or why there is none."""
    if value is None and share == 0:
        return "switched off (audit_share=0)"
    if value is None:
        return f"no audit label yet: about one in {round(1 / share)} tasks is drawn at random"
    told = f"{interval(value)} on {value.labels} {'label' if value.labels == 1 else 'labels'} drawn at random"
    if value.population is None:
        return f"{told}, interval for one look; the next round's holds at every look"
    return f"{told} of {value.population} tasks, interval for every look at every round"


def head(view: HeadView | None) -> str:
    """Kind, weights and labels of the head."""
    if view is None:
        return "none yet: labels of two classes are needed"
    weights = ", ".join(f"{name} {weight:.0%}" for name, weight in view.weights.items() if weight >= 0.005)
    return f"{view.kind}{f' ({weights})' if weights else ''} from {view.labels} labels"


def advice(told: Advice | None, mode: str) -> str:
    """Whether to fine-tune now, and why."""
    if told is None:
        return f"mode {mode}; not measured yet: a learning round on these features comes first"
    return f"mode {mode}; {'renew now' if told.action == 'renew' else 'wait'}: {told.reason}"


def cost(train_seconds: float | None, embed_seconds: float | None) -> str:
    """What a renewal takes here."""
    parts = (("fine-tune", train_seconds), ("re-embed", embed_seconds))
    return ", ".join(f"{what} {UNMEASURED if s is None else f'about {duration(s)}'}" for what, s in parts)


def healed(item: Healing, now: float) -> str:
    """What was found wrong in Label Studio, and how long ago it was repaired."""
    return f"{duration(max(now - item.at, 0.0))} ago {item.found}: the order was published again"


def under_way(item: UnderWay) -> str:
    """How far the renewal is."""
    left = f", about {duration(item.eta)} left" if item.eta is not None else ""
    if item.state == "judging":
        return f"version {item.version} is judged on labels that its training did not see"
    if item.state == "embedding":
        return f"version {item.version} embeds: {item.done} of {item.total or '?'} tasks{left}"
    if not item.done:
        return f"version {item.version} trains ({item.method}): the first epoch is not done yet"
    loss = f", loss {item.loss:.3f}" if item.loss is not None else ""
    unseen = f", held out {item.held_out_loss:.3f}" if item.held_out_loss is not None else ""
    right = f" ({item.accuracy:.1%} right)" if item.accuracy is not None else ""
    return (
        f"version {item.version} trains ({item.method}): epoch {item.done} of {item.total}{loss}{unseen}{right}{left}"
    )

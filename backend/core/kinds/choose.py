"""Of all control tags of a label config, the one that is learnt from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from backend.core.domain import NO_TARGET, Control, Target
from backend.core.kinds import register

STILL_WORKS = "features, the strategies that need no class probabilities and the queue's order work"
NO_CLASSES = f"{STILL_WORKS}; margin, entropy and suggested labels do not"


@dataclass(frozen=True, slots=True)
class Chosen:
    """problem : why no class probabilities can be had, or ""; left_out : (tag, why; "": could be learnt from too)."""

    target: Target
    problem: str
    left_out: tuple[tuple[str, str], ...]


def choose(controls: Sequence[Control], learn_from: str = "") -> Chosen:
    """The tag named by `learn_from`, else the first Choices that gives one class an image, else the first that can."""
    offers = {control.name: offer(control) for control in controls}
    good = {name: found for name, found in offers.items() if isinstance(found, Target)}
    one = (name for name, found in good.items() if (found.kind, found.family) == ("one", "choices"))
    name = learn_from or next(one, next(iter(good), ""))
    target = good.get(name, NO_TARGET)
    left_out = tuple((tag, found if isinstance(found, str) else "") for tag, found in offers.items())
    left_out = tuple((tag, why) for tag, why in left_out if tag != target.tag)
    return Chosen(target, _problem(target, learn_from, dict(left_out)), left_out)


def offer(control: Control) -> Target | str:
    """What can be learnt from one tag, or why nothing can."""
    family = register.of_tag(control.tag)
    if family is None:
        return f"is {control.tag}, which names no classes"
    return family.offer(control) if control.images else "is not about an image"


def _problem(target: Target, learn_from: str, left_out: dict[str, str]) -> str:
    if target.kind != "none":
        return ""
    if learn_from and learn_from not in left_out:
        there = ", ".join(left_out) or "none"
        return f"learn_from names {learn_from!r}, and the label config has no such tag; it has: {there}"
    if learn_from:
        return f"tag {learn_from!r} {left_out[learn_from]}: {NO_CLASSES}"
    told = "; ".join(f"{tag} {why}" for tag, why in list(left_out.items())[:3])
    told = told or "it has no control tag with a name and a toName"
    more = f"; and {len(left_out) - 3} more" if len(left_out) > 3 else ""
    return f"no tag on the image that can be learnt from ({told}{more}): {NO_CLASSES}"

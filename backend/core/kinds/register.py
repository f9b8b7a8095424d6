"""The families of control tags by name: what each offers to learn, how its annotations are read and suggested."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from backend.core.domain import Control, Label, Target
from backend.core.kinds.said import Name

Offer = Callable[[Control], Target | str]
"""What can be learnt from the tag, or why nothing can: a predicate, as "takes its choices from each task"."""

Read = Callable[[Target, Sequence[Name]], Label | None]
"""What all names that an annotation gave with the target's tag say; None: nothing that can be used."""

Write = Callable[[Target, Sequence[str]], tuple[str, Any]]
"""(type of the region, what stands under that key in its value) that suggests these classes in Label Studio."""


@dataclass(frozen=True, slots=True)
class Family:
    """One registered family; `write` None: nothing of it can be suggested."""

    name: str
    offer: Offer
    read: Read
    write: Write | None


_families: dict[str, Family] = {}
_of_tag: dict[str, str] = {}


def kind(name: str, tags: Sequence[str], *, offer: Offer, read: Read, write: Write | None = None) -> None:
    """Make a family known, with the tags of label configs that are its."""
    _families[name] = Family(name, offer, read, write)
    _of_tag.update(dict.fromkeys(tags, name))


def of_tag(tag: str) -> Family | None:
    """The family of a control tag; None: nothing is learnt from such tags."""
    return _families.get(_of_tag.get(tag, ""))


def named(name: str) -> Family | None:
    """A family by its name, as targets hold it; "" has none."""
    return _families.get(name)

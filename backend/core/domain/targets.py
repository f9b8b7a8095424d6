"""What a label config asks people, and what of it is learnt: the target of a project."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["one", "set", "none"]

Label = str | frozenset[str]
"""What people said of a task: its one class, or the set of the classes that are present (empty: none of them is)."""


@dataclass(frozen=True, slots=True)
class Option:
    """One entry of a control tag as annotations hold it (its alias, else its value), and the entries below it."""

    name: str
    below: tuple[Option, ...] = ()


@dataclass(frozen=True, slots=True)
class Control:
    """A control tag of a label config: `about` names the tags that it is about, `images` those of them that show one.

    `dynamic`: its options come with each task.
    """

    tag: str  # Choices, RectangleLabels...
    name: str
    about: tuple[str, ...]
    images: tuple[str, ...]
    attributes: Mapping[str, str]
    options: tuple[Option, ...] = ()
    dynamic: bool = False

    def has(self, attribute: str) -> bool:
        """Whether the attribute says true; capitals count neither in its name nor in its value."""
        given = {name.lower(): value for name, value in self.attributes.items()}
        return given.get(attribute.lower(), "").strip().lower() == "true"


@dataclass(frozen=True, slots=True)
class Target:
    """What is learnt of each task: one class, the set of classes that are present, or nothing.

    family : which of `core.kinds` reads it; tag : name of the control tag; about : the Image tag that it is named with
    in predictions; nested : options have options below them, and classes are paths; suggests : whether Label Studio
    shows a suggestion of it.
    """

    kind: Kind
    family: str = ""
    tag: str | None = None
    about: str | None = None
    classes: tuple[str, ...] = ()
    nested: bool = False
    suggests: bool = False


NO_TARGET = Target("none")

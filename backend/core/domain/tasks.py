"""Tasks, and what people said of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from backend.core.domain.targets import Label

TaskState = Literal["pending", "embedded", "failed"]

MOST_PAGES = 32
"""Images of one task that are embedded: the mean hardly moves after that many, and a task must not cost a minute."""


@dataclass(frozen=True, slots=True)
class Pages:
    """What stands behind a task that is not simply one image.

    refs : all references where there are several, at most `MOST_PAGES`; note : what is wrong with the rest, or "".
    """

    refs: tuple[str, ...] = ()
    note: str = ""


PLAIN = Pages()
"""Of a task that is one image and nothing else."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotation's part that we learn from; `skipped`: cancelled by its annotator.

    `label` None of one that is not skipped: submitted, but nothing that we can learn from. Of a set of classes the
    empty one is a label too: nothing of what was asked for is there.
    """

    id: int
    task_id: int
    label: Label | None
    skipped: bool
    updated_at: float


@dataclass(frozen=True, slots=True)
class Deleted:
    """Annotations or tasks that Label Studio says are gone; only ids are known."""

    kind: Literal["annotations", "tasks"]
    ids: tuple[int, ...]
    at: float


@dataclass(frozen=True, slots=True)
class Task:
    """A task as we know it: labeled, annotated (seen, but nothing can be learnt from it), skipped, or open."""

    id: int
    image: str | None  # the first one
    state: TaskState
    reason: str  # why it failed, or which of its pages are left out; else ""
    label: str | None  # where it is one class
    skipped: bool
    audit: bool = False
    annotated: bool = False
    present: tuple[str, ...] | None = None  # sorted; the label where it is a set of classes
    pages: tuple[str, ...] = ()  # all images where there are several

    @property
    def refs(self) -> tuple[str, ...]:
        """References of all its images."""
        return refs(self.image, self.pages)

    @property
    def open(self) -> bool:
        """Whether nobody has dealt with it yet."""
        return self.label is None and self.present is None and not self.annotated and not self.skipped


@dataclass(frozen=True, slots=True)
class Claim:
    """A task leased to one worker. `claims`: earlier ones that ended without a result; `deaths`: their workers'.

    `stale`: what is stored of it may be of another image.
    """

    id: int
    refs: tuple[str, ...]  # of its images
    claims: int
    deaths: int
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Counts:
    """Tasks of a project by state; `annotated` counts those that taught us nothing.

    labels : tasks by class; one with a set of classes counts for each of them. empty : labeled ones of none of them.
    """

    tasks: int
    embedded: int
    pending: int
    failed: int
    labeled: int
    skipped: int
    annotated: int
    labels: Mapping[str, int]
    open: int  # embedded, and nobody has dealt with it: what there is to choose from
    empty: int = 0


def refs(image: str | None, pages: tuple[str, ...]) -> tuple[str, ...]:
    """References of all images of a task; () if it has none."""
    return pages or (() if image is None else (image,))

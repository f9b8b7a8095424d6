"""Things as Label Studio shows or takes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from backend.core.domain.rankings import Guess
from backend.core.domain.tasks import PLAIN, Annotation, Pages, refs

TITLE = "LabelQueue"
"""Our name in Label Studio, and the model_version before the first ranking is live."""


@dataclass(frozen=True, slots=True)
class RemoteProject:
    """A project as Label Studio shows it now."""

    ls_id: int
    key: str
    title: str
    label_config: str
    sampling: str
    model_version: str
    tasks: int


@dataclass(frozen=True, slots=True)
class RemoteTask:
    """A task as Label Studio shows it: its first image (None: it has none, `pages.note` says why), all annotations."""

    id: int
    image: str | None
    annotations: tuple[Annotation, ...]
    updated_at: float
    pages: Pages = PLAIN

    @property
    def refs(self) -> tuple[str, ...]:
        """References of all its images."""
        return refs(self.image, self.pages.refs)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What is imported into Label Studio for a task: the lowest score is served first."""

    task_id: int
    score: float
    guess: Guess | None


@dataclass(frozen=True, slots=True)
class RemoteBackend:
    """An ML backend row of a Label Studio project."""

    id: int
    url: str
    title: str
    state: str
    error: str


@dataclass(frozen=True, slots=True)
class RemoteWebhook:
    """A webhook of a Label Studio project."""

    id: int
    url: str
    headers: Mapping[str, str]
    active: bool


@dataclass(frozen=True, slots=True)
class Server:
    """Label Studio itself: version, and whose token we hold and of which kind ("legacy" or "personal")."""

    version: str
    user: str
    token: Literal["legacy", "personal"]

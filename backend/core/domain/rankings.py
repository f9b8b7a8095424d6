"""What was learnt, the order that came of it, and how it became Label Studio's queue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from backend.core.domain.heads import LearningReport
from backend.core.domain.projects import Strategy

PublicationState = Literal["importing", "live", "retired", "deleted", "failed"]

PUBLICATION_MOVES: Mapping[PublicationState, frozenset[PublicationState]] = {
    "importing": frozenset({"live", "failed"}),
    "live": frozenset({"retired", "failed"}),
    "retired": frozenset({"deleted"}),
    "failed": frozenset({"deleted"}),
    "deleted": frozenset(),  # Label Studio is rid of it, or will be at the next tidying
}
"""From each state to those that may follow it."""

GUESSES = "-guesses"


@dataclass(frozen=True, slots=True)
class Guess:
    """The head's best class for a task and its calibrated probability.

    present : where labels are sets of classes, those that it suggests; choice names them for people, and confidence is
    the probability that the set is exactly what is likelier than not.
    """

    choice: str
    confidence: float
    present: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Guesses:
    """Guesses for all embedded tasks by one head: task_ids, classes (indexes into `names`), confidence, (n,) each.

    present : (n, len(names)) bool, the classes suggested where labels are sets; then `classes` tells nothing.
    """

    head: int
    names: tuple[str, ...]
    task_ids: NDArray[np.int64]
    classes: NDArray[np.int32]
    confidence: NDArray[np.float32]
    present: NDArray[np.bool_] | None = None

    def at(self, row: int) -> Guess:
        """The guess of one task."""
        if self.present is None:
            return Guess(self.names[self.classes[row]], float(self.confidence[row]))
        return guess_of_set(
            tuple(self.names[place] for place in np.flatnonzero(self.present[row])), float(self.confidence[row])
        )


def guess_of_set(present: tuple[str, ...], confidence: float) -> Guess:
    """The guess that these classes are there, and no others."""
    return Guess(", ".join(present) or "none of the classes", confidence, present)


@dataclass(frozen=True, slots=True)
class Head:
    """What a learning round found; the head itself is not kept: the next round trains it from scratch."""

    id: int
    project: int
    features_version: int
    labels_digest: str
    classes: tuple[str, ...]
    report: LearningReport
    created_at: float


@dataclass(frozen=True, slots=True)
class Pick:
    """One position of a ranking."""

    task_id: int
    score: float
    note: str
    guess: Guess | None = None
    audit: bool = False  # of the audit stream: shown without the guess


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """What a ranking was made of, beside strategy and seed: with the same vectors it can be made again.

    The arrays are over the rows of the feature table of then. labels : (n,) class index, UNLABELED or SKIPPED; where
    labels are sets, LABELED in the index's place, and present : (n, c) bool, the classes of labeled rows;
    audit : (n,) whether the row belongs to the audit stream; graph : (n,) the rows of which the head's graph was
    built, None if nothing was learnt; vectors : `FeatureTable.digest`; machine : what computed it, name -> version.
    """

    horizon: int
    batch: int
    audit_share: float
    classes: tuple[str, ...]
    task_ids: NDArray[np.int64]
    labels: NDArray[np.int64]
    audit: NDArray[np.bool_]
    graph: NDArray[np.bool_] | None
    vectors: str
    machine: Mapping[str, str]
    present: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class Ranking:
    """A stored order. What else is needed to make it again are its `Inputs`, kept as long as its picks are."""

    id: int
    project: int
    strategy: Strategy
    seed: int
    features_version: int
    labels_digest: str
    labeled: int  # tasks with a label when it was made
    embedded: int  # tasks with features when it was made
    head: int | None
    picks: tuple[Pick, ...]
    timings: Mapping[str, float]  # stage -> seconds
    created_at: float


@dataclass(frozen=True, slots=True)
class Publication:
    """One attempt to make a ranking Label Studio's queue; its model_version is never used twice."""

    id: int
    project: int
    ranking: int
    model_version: str
    state: PublicationState
    reason: str
    created_at: float
    live_at: float | None
    imported: tuple[int, ...] | None = None  # tasks that got a prediction; None: before this was recorded
    healed: str = ""  # what was wrong with the live one before, if that is why this one was made

    @property
    def guesses_version(self) -> str:
        """The model_version of what /predict answers meanwhile: none of it may count or be served as the queue's."""
        return self.model_version + GUESSES

"""The nouns of feature renewal: versions of features, and what a fine-tuning is told and tells."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal, NamedTuple

from backend.core.json_values import JSON

FeatureSetState = Literal["live", "retired", "training", "embedding", "judging", "rejected", "failed", "cancelled"]
Method = Literal["lp-ft", "ft"]


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch gave: losses in nats, accuracy on the held-out labels, and how long it took."""

    loss: float
    held_out_loss: float
    accuracy: float
    seconds: float


class PseudoLabel(NamedTuple):
    """A guessed label that was trained on with a weight below 1."""

    task: int
    choice: str
    weight: float


@dataclass(frozen=True, slots=True)
class Training:
    """How far the fine-tuning is (`planned` epochs), and what it trains on beside labels."""

    epochs: tuple[Epoch, ...]
    planned: int
    train_seconds: float
    pseudo_labels: tuple[PseudoLabel, ...] = ()

    def to_json(self) -> dict[str, JSON]:
        """Entries of the report; `pseudo` is the number of guessed labels."""
        return {**asdict(self), "pseudo": len(self.pseudo_labels)}


@dataclass(frozen=True, slots=True)
class Judgement:
    """The test of acceptance on `judged` unseen labels (see `selection.proxy.acceptance.Comparison`)."""

    accuracy_old: float
    accuracy_new: float
    gain: float
    p: float
    judged: int

    def to_json(self) -> dict[str, JSON]:
        """Entries of the report."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class FeatureReport:
    """What is known of a version beside its state; embed_rate is in images/s of one worker, None until measured."""

    training: Training | None = None
    judgement: Judgement | None = None
    embed_rate: float | None = None

    @property
    def train_seconds(self) -> float | None:
        """What the fine-tuning took; None if it did not get that far."""
        return self.training.train_seconds if self.training else None


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """A version of a project's features: what made it, and what became of it.

    checkpoint : key of the fine-tuned weights in the checkpoint store, "" for the backbone as it comes.
    held_out : tasks whose labels the fine-tuning never saw.
    """

    project: int
    version: int
    state: FeatureSetState
    backbone: str  # tag of `Project.backbone`, "" until known
    checkpoint: str
    method: Method | None
    base: int | None  # the version that was live when it began
    labels: int
    labels_digest: str
    held_out: tuple[int, ...]
    report: FeatureReport
    reason: str
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class Example:
    """One image to train on: `label` is a class index; weight 1, or below 1 for a pseudo-label."""

    task_id: int
    image: str
    label: int
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class TrainingOrder:
    """All that a fine-tuning depends on; plain values, so that a killed job goes on from the same order.

    run : names its checkpoints; backbone : name as in the settings, "" for the default; checkpoint : where to start
    from ("" for the backbone as it comes: every fine-tuning starts from the pre-trained weights).
    """

    run: str
    backbone: str
    method: Method
    classes: tuple[str, ...]
    train: tuple[Example, ...]
    held_out: tuple[Example, ...]
    seed: int
    epochs: int | None = None  # None: the method's default


@dataclass(frozen=True, slots=True)
class TrainingState:
    """Where a fine-tuning stands after a slice."""

    epochs: tuple[Epoch, ...]
    total: int  # epochs planned
    finished: bool
    checkpoint: str  # key of the best weights so far

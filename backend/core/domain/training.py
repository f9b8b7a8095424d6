"""The nouns of feature renewal: versions of features, and what a fine-tuning is told and tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

FeatureSetState = Literal["live", "retired", "training", "embedding", "judging", "rejected", "failed", "cancelled"]
Method = Literal["lp-ft", "ft"]


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """A version of a project's features: what made it, and what became of it.

    checkpoint : key of the fine-tuned weights in the checkpoint store, "" for the backbone as it comes.
    held_out : tasks whose labels the fine-tuning never saw; report : losses, test of acceptance, costs.
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
    report: Mapping[str, Any]
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
    """Where a fine-tuning stands after a slice; `epochs` has loss, held_out_loss, accuracy and seconds of each."""

    epochs: tuple[Mapping[str, float], ...]
    total: int  # epochs planned
    finished: bool
    checkpoint: str  # key of the best weights so far

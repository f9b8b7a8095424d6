"""A connected project: its label config, its strategy, its settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

RenewalMode = Literal["off", "suggest", "auto"]
KEY = re.compile(r"([1-9]\d{0,9})(\.\d{1,15})?", re.ASCII)
LARGEST_ID = 2**31 - 1  # ids are 32 bit integers in Label Studio


def ls_id_of(key: str) -> int | None:
    """Label Studio's id in a project key "<id>.<created>" or "<id>"; None if it is no key."""
    found = KEY.fullmatch(key)
    return int(found[1]) if found and int(found[1]) <= LARGEST_ID else None


def is_another(key: str, other: str) -> bool:
    """Whether two keys of one id have different creation stamps; one without a stamp differs from none."""
    return "." in key and "." in other and key != other


@dataclass(frozen=True, slots=True)
class LabelConfig:
    """What of a Label Studio label config concerns us; `problem` says why class probabilities cannot work, or ""."""

    image_key: str | None  # key of task data that holds the image
    from_name: str | None  # name of the Choices tag
    to_name: str | None  # name of the Image tag
    classes: tuple[str, ...]
    single_choice: bool
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Strategy:
    """A selector by name with its JSON parameters."""

    name: str = "auto"
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Project:
    """A connected Label Studio project and its settings."""

    id: int
    ls_id: int
    key: str  # "<ls id>.<created>", as Label Studio sends it in /setup; "<ls id>" until seen
    title: str
    config: LabelConfig
    label_config: str
    strategy: Strategy
    batch_size: int  # new labels that cause a learning round
    min_interval: float  # seconds between the starts of two learning rounds
    head_size: int | None  # tasks published per ranking; None: ten batches, at most 1,000
    preannotate: bool
    features_version: int
    extra_params: str  # last extra params seen from Label Studio, canonical JSON
    synced_at: float | None  # updated_at cursor of the last reconciliation
    strategy_changed_at: float
    renewal: RenewalMode | None = None  # None: auto where there is a GPU, else suggest
    calibrate: bool = False  # train with ActiveDC's expansion of the labels
    audit_share: float = 0.05  # of what is served; 0 switches the audit stream off
    before_preset: Mapping[str, Any] = field(default_factory=dict)  # settings that a preset took over, as they were
    backbone: str = ""  # what made the current features version: "name@digest/pixels"; "" before the first

    @property
    def horizon(self) -> int:
        """Tasks in the head of a ranking: what is published."""
        return min(self.head_size or 10 * self.batch_size, 1000)

"""A connected project: its label config, its strategy, its settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from backend.core.domain.settings import ProjectSettings
from backend.core.domain.targets import NO_TARGET, Target

KEY = re.compile(r"([1-9]\d{0,9})(\.\d{1,15})?", re.ASCII)
LARGEST_ID = 2**31 - 1  # ids are 32 bit integers in Label Studio


def ls_id_of(key: str) -> int | None:
    """Label Studio's id in a project key "<id>.<created>" or "<id>"; None if it is no key."""
    found = KEY.fullmatch(key)
    return int(found[1]) if found and int(found[1]) <= LARGEST_ID else None


def is_another(key: str, other: str) -> bool:
    """Whether two keys of one id have different creation stamps; one without a stamp differs from none."""
    return "." in key and "." in other and key != other


READING = 2
"""How label configs and annotations are read. Raised with each change of it: all annotations are then read anew."""


@dataclass(frozen=True, slots=True)
class LabelConfig:
    """What of a Label Studio label config concerns us; `problem` says why class probabilities cannot work, or ""."""

    image_key: str | None  # path in the task data of the first image, for words; None: no image can be had
    target: Target = NO_TARGET
    problem: str = ""
    images: tuple[str, ...] = ()  # values of all Image tags, as the config writes them
    left_out: tuple[tuple[str, str], ...] = ()  # (control tag, why it cannot be learnt from; "": another is used)
    unshown: tuple[tuple[str, str], ...] = ()  # (Image tag, why it is not embedded)
    asked: str = ""  # the project's `learn_from` when this was read
    reading: int = READING

    @property
    def classes(self) -> tuple[str, ...]:
        return self.target.classes

    @property
    def learnt(self) -> bool:
        """Whether a head learns from the labels, so that there are class probabilities."""
        return self.target.kind != "none"

    @property
    def tags(self) -> tuple[str, ...]:
        """Names of all control tags, whether they can be learnt from or not."""
        return (*([self.target.tag] if self.target.tag else []), *(tag for tag, _ in self.left_out))

    @property
    def shown(self) -> tuple[str, ...]:
        """Values of the Image tags."""
        return self.images or ((f"${self.image_key}",) if self.image_key else ())


@dataclass(frozen=True, slots=True)
class Strategy:
    """A selector by name with its JSON parameters."""

    name: str = "auto"
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Project(ProjectSettings):
    """A connected Label Studio project; its settings are fields as well."""

    id: int
    ls_id: int
    key: str  # "<ls id>.<created>", as Label Studio sends it in /setup; "<ls id>" until seen
    title: str
    config: LabelConfig
    label_config: str
    strategy: Strategy
    features_version: int
    extra_params: str  # last extra params seen from Label Studio, canonical JSON
    synced_at: float | None  # updated_at cursor of the last reconciliation
    strategy_changed_at: float
    preset: str | None = None  # the name by which the strategy was chosen, if not the selector's
    before_preset: Mapping[str, Any] = field(default_factory=dict)  # settings that a preset took over, as they were
    backbone: str = ""  # what made the current features version: "name@digest/pixels"; "" before the first

    @property
    def horizon(self) -> int:
        """Tasks in the head of a ranking: what is published."""
        return min(self.head_size or 10 * self.batch_size, 1000)

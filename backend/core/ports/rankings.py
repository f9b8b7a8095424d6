"""The record of learning rounds, rankings and (inherited) publications."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from backend.core.domain import Considered, Head, Inputs, LearningReport, Pick, Ranking, Strategy
from backend.core.ports.publications import Publications


class Rankings(Publications, Protocol):
    def add_head(
        self,
        project: int,
        features_version: int,
        labels_digest: str,
        classes: Sequence[str],
        report: LearningReport,
        at: float,
    ) -> Head: ...
    def latest_head(self, project: int) -> Head | None: ...
    def heads(self, project: int, features_version: int) -> list[Head]:
        """All heads on these features, oldest first."""
        ...

    def note_renewal(self, head: int, told: Considered) -> None:
        """Keep the advice in the head's report; its other entries stay."""
        ...

    def add(
        self,
        project: int,
        *,
        strategy: Strategy,
        seed: int,
        features_version: int,
        labels_digest: str,
        labeled: int,
        embedded: int,
        head: int | None,
        picks: Sequence[Pick],
        timings: Mapping[str, float],
        at: float,
        inputs: Inputs | None = None,
    ) -> Ranking: ...
    def get(self, ranking: int) -> Ranking: ...
    def inputs(self, ranking: int) -> Inputs | None:
        """What it was made of; None if that is not kept any more, or never was."""
        ...

    def latest(self, project: int) -> Ranking | None: ...
    def history(self, project: int, limit: int = 20) -> list[Ranking]: ...

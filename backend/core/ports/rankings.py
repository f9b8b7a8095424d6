"""The record of learning rounds, rankings and (inherited) publications."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from backend.core.domain import Head, Inputs, Ranking, Strategy
from backend.core.ports.publications import Publications


class Rankings(Publications, Protocol):
    def add_head(
        self,
        project: int,
        features_version: int,
        labels_digest: str,
        classes: Sequence[str],
        report: Mapping[str, Any],
        at: float,
    ) -> Head: ...
    def latest_head(self, project: int) -> Head | None: ...
    def heads(self, project: int, features_version: int) -> list[Head]:
        """All heads on these features, oldest first."""
        ...

    def update_report(self, head: int, report: Mapping[str, Any]) -> None: ...
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
        picks: Sequence[Any],
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

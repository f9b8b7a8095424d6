"""The record of connected projects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from backend.core.domain import DEFAULTS, LabelConfig, Project, ProjectSettings


class Projects(Protocol):
    def add(
        self,
        ls_id: int,
        key: str,
        *,
        title: str,
        label_config: str,
        config: LabelConfig,
        at: float,
        settings: ProjectSettings = DEFAULTS,
    ) -> Project:
        """Insert with these settings, or update title/config/key of the row with this ls_id; settings are kept then.

        Raises `AnotherProject`, and changes nothing, for a key with another creation stamp than the row's.
        """
        ...

    def replace(
        self,
        project: int,
        key: str,
        *,
        title: str,
        label_config: str,
        config: LabelConfig,
        at: float,
        settings: ProjectSettings = DEFAULTS,
    ) -> Project:
        """Drop the project with all that hangs on it and begin one under the same Label Studio id, in one transaction.

        For those who have asked Label Studio only. Raises `UnknownProject` if it is gone, or replaced, already.
        """
        ...

    def get(self, project: int) -> Project:
        """Raises `UnknownProject`."""
        ...

    def by_ls_id(self, ls_id: int) -> Project:
        """Raises `UnknownProject`."""
        ...

    def all(self) -> list[Project]: ...
    def remove(self, project: int) -> None: ...
    def edit(self, project: int, change: Callable[[Project], Project]) -> Project:
        """Make of the project, as it is, what `change` returns, in one transaction; returns it as it is then.

        It may change the settings, strategy, preset, before_preset, strategy_changed_at, extra_params, synced_at and
        backbone: `replace(now, synced_at=None)`. No other write to the project comes in between; what `change` raises
        leaves all as it was. It must be quick, and touch no port.
        """
        ...

    def secret(self, name: str) -> str:
        """A random secret that is made once per installation and kept."""
        ...

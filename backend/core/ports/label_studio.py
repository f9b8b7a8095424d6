"""Label Studio's side of the program."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from backend.core.domain import LabelConfig, Prediction, RemoteBackend, RemoteProject, RemoteTask, RemoteWebhook, Server
from backend.core.json_values import JSON


class LabelStudio(Protocol):
    """Label Studio's API. Raises `LabelStudioDown` or `LabelStudioRefused`."""

    def server(self) -> Server: ...
    def project(self, ls_id: int) -> RemoteProject: ...
    def parse_config(self, label_config: str, learn_from: str = "") -> LabelConfig:
        """What of it concerns us, learning from the tag of that name; never raises, see `LabelConfig.problem`."""
        ...

    def tasks(self, ls_id: int, config: LabelConfig, *, since: float | None = None) -> Iterator[RemoteTask]:
        """All tasks, or those whose updated_at is not before `since`, with all their annotations, in pages."""
        ...

    def task_ids(self, ls_id: int, among: Sequence[int] | None = None) -> list[int]:
        """Ids of all tasks, or of those `among` these that the project has, cheaply."""
        ...

    def import_predictions(
        self, ls_id: int, config: LabelConfig, model_version: str, predictions: Sequence[Prediction]
    ) -> int:
        """Import in ONE request; returns how many Label Studio says it created."""
        ...

    def set_queue(self, ls_id: int, model_version: str) -> None:
        """One PATCH: uncertainty sampling by `model_version`."""
        ...

    def delete_version(self, ls_id: int, model_version: str) -> None: ...
    def versions(self, ls_id: int) -> Mapping[str, int]:
        """Prediction counts by model_version."""
        ...

    def backends(self, ls_id: int) -> list[RemoteBackend]: ...
    def add_backend(
        self,
        ls_id: int,
        url: str,
        title: str,
        *,
        auth: tuple[str, str] | None,
        extra_params: Mapping[str, JSON],
    ) -> RemoteBackend: ...
    def delete_backend(self, backend: int) -> None: ...
    def webhooks(self, ls_id: int) -> list[RemoteWebhook]: ...
    def add_webhook(self, ls_id: int, url: str, headers: Mapping[str, str]) -> RemoteWebhook: ...
    def set_webhook_headers(self, webhook: int, headers: Mapping[str, str]) -> None: ...
    def delete_webhook(self, webhook: int) -> None: ...

"""What the use cases need of the world; each is implemented in `backend/adapters` and faked in `tests/fakes.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from backend.core.domain import (
    Annotation,
    Backbone,
    Counts,
    Deleted,
    Embedded,
    Failed,
    FeatureBatch,
    FeatureTable,
    Guess,
    Guesses,
    Head,
    JobView,
    LabelConfig,
    Prediction,
    Project,
    Publication,
    PublicationState,
    Ranking,
    RemoteBackend,
    RemoteProject,
    RemoteTask,
    RemoteWebhook,
    Server,
    Strategy,
    Task,
    TaskState,
    WorkerView,
)
from backend.core.training import FeatureSet, Method, TrainingOrder, TrainingState


class LabelStudio(Protocol):
    """Label Studio's API. Raises `LabelStudioDown` or `LabelStudioRefused`."""

    def server(self) -> Server: ...
    def projects(self) -> list[RemoteProject]: ...
    def project(self, ls_id: int) -> RemoteProject: ...
    def parse_config(self, label_config: str) -> LabelConfig: ...

    def tasks(self, ls_id: int, config: LabelConfig, *, since: float | None = None) -> Iterator[RemoteTask]:
        """All tasks, or those whose updated_at is not before `since`, with all their annotations, in pages."""
        ...

    def task_ids(self, ls_id: int) -> list[int]:
        """Ids of all tasks, cheaply."""
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
        extra_params: Mapping[str, Any],
    ) -> RemoteBackend: ...
    def delete_backend(self, backend: int) -> None: ...
    def webhooks(self, ls_id: int) -> list[RemoteWebhook]: ...
    def add_webhook(self, ls_id: int, url: str, headers: Mapping[str, str]) -> RemoteWebhook: ...
    def set_webhook_headers(self, webhook: int, headers: Mapping[str, str]) -> None: ...
    def delete_webhook(self, webhook: int) -> None: ...


class Embedder(Protocol):
    """A warm backbone with its image loader; decoding overlaps with the forward pass."""

    @property
    def backbone(self) -> Backbone: ...

    @property
    def device(self) -> str: ...

    def embed(self, items: Iterable[tuple[int, str]]) -> Iterator[Embedded | Failed]:
        """Vectors for (task id, image reference) pairs, in any order; a bad image yields `Failed`, never raises."""
        ...


class Trainer(Protocol):
    """Fine-tunes a backbone slice by slice; everything that a slice needs is kept in the checkpoint store."""

    def slice(self, order: TrainingOrder, *, seconds: float, cancelled: Callable[[], bool]) -> TrainingState:
        """Go on with the run for about `seconds` (one epoch at least) and keep it; safe to kill and call again."""
        ...

    def drop(self, run: str) -> None:
        """Delete what the run keeps except its best weights."""
        ...


class FeatureStore(Protocol):
    """Versioned features and guesses of projects; appends are transactional and may come from many workers."""

    def append(self, project: int, version: int, batch: FeatureBatch) -> None: ...
    def present(self, project: int, version: int, task_ids: Sequence[int]) -> set[int]: ...
    def ids(self, project: int, version: int) -> NDArray[np.int64]:
        """Tasks that have features, ascending and distinct; reads no vectors."""
        ...

    def load(self, project: int, version: int) -> FeatureTable:
        """All rows, each task once; cached in this process, only what is new is read. No rows: shape (0, 0)."""
        ...

    def remove(self, project: int, version: int, task_ids: Sequence[int]) -> None: ...
    def optimize(self, project: int, version: int) -> None:
        """Join small fragments and drop old ones; safe while others read."""
        ...

    def write_guesses(self, project: int, guesses: Guesses) -> None: ...
    def read_guesses(self, project: int, task_ids: Sequence[int]) -> dict[int, Guess]: ...


class Projects(Protocol):
    def add(self, ls_id: int, key: str, *, title: str, label_config: str, config: LabelConfig, at: float) -> Project:
        """Insert, or update title/config/key of the row with this ls_id; settings are kept.

        A key that differs in its part after the dot means that Label Studio reuses the id for a new project: the
        old project's rows are dropped and a fresh one is made.
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
    def set_strategy(self, project: int, strategy: Strategy, at: float) -> None: ...
    def update(self, project: int, **fields: Any) -> None:
        """Set any of: batch_size, min_interval, head_size, preannotate, features_version, extra_params, synced_at,
        backbone, audit_share, renewal, calibrate, before_preset."""
        ...

    def secret(self, name: str) -> str:
        """A random secret that is made once per installation and kept."""
        ...


class Tasks(Protocol):
    def upsert(self, project: int, tasks: Sequence[tuple[int, str | None]]) -> int:
        """Add tasks (pending; failed with a reason when the image is None); a changed image makes it pending again.

        Returns how many became pending.
        """
        ...

    def keep_only(self, project: int, ids: Iterable[int]) -> list[int]:
        """Drop the tasks that are not among `ids`, with their annotations; returns the dropped ids."""
        ...

    def remove(self, project: int, ids: Sequence[int]) -> None: ...
    def claim(self, project: int, owner: str, limit: int, lease: float) -> list[tuple[int, str, int]]:
        """Lease up to `limit` pending tasks: (id, image, earlier claims), by id. Two callers never share one."""
        ...

    def renew(self, project: int, owner: str, lease: float) -> None:
        """Prolong every lease of `owner`."""
        ...

    def release(self, project: int, owner: str) -> None:
        """Give back what `owner` still holds."""
        ...

    def finish(self, project: int, embedded: Mapping[int, str], failed: Mapping[int, str]) -> None:
        """Set states: embedded id -> digest, failed id -> reason; ends their leases."""
        ...

    def retry_failed(self, project: int, ids: Sequence[int] | None = None) -> int:
        """Failed tasks become pending again; returns how many."""
        ...

    def reset(self, project: int, ids: Sequence[int] | None = None) -> None:
        """Every task (or these) becomes pending: its features are missing in the live version."""
        ...

    def counts(self, project: int) -> Counts: ...
    def list(
        self,
        project: int,
        *,
        state: TaskState | None = None,
        ids: Sequence[int] | None = None,
        limit: int = 1000,
    ) -> list[Task]: ...
    def changed_since(self, project: int, at: float) -> int:
        """How many tasks got, lost or changed their label (or skip) after `at`."""
        ...

    def changed_tasks(self, project: int, at: float) -> set[int]:
        """The tasks that `changed_since` counts."""
        ...

    def draw_audit(self, project: int, share: float, seed: int) -> None:
        """Decide for each embedded task that was not decided yet; one that has a label or skip is never drawn."""
        ...

    def forget_draw(self, project: int) -> None:
        """Nobody is drawn or passed over for the audit any more, unless a task ever had a label or skip."""
        ...

    def audit(self, project: int) -> set[int]:
        """Ids of the tasks drawn for the audit."""
        ...

    def labels(self, project: int) -> tuple[dict[int, str], set[int]]:
        """(task id -> label of labeled tasks, ids of skipped tasks)."""
        ...

    def labeled_at(self, project: int) -> dict[int, float]:
        """When each task that has annotations got the newest of them, by Label Studio's clock."""
        ...

    def apply(self, project: int, annotations: Sequence[Annotation], deleted: Sequence[Deleted] = ()) -> int:
        """Fold annotation events into the label table; any order, any number of times. Returns changed tasks.

        An older updated_at never replaces a newer one; a deletion is final (ids are not reused). The label of a task
        is the majority of its annotations' choices, ties to the latest; skipped if its annotations hold no choice.
        Annotations of unknown tasks are kept and count once the task appears.
        """
        ...

    def replace(self, project: int, tasks: Sequence[RemoteTask]) -> int:
        """Make the annotations of these tasks exactly what Label Studio shows. Returns changed tasks."""
        ...


class FeatureSets(Protocol):
    """The versions of a project's features; version 1 is there from the start."""

    def list(self, project: int) -> list[FeatureSet]:
        """Oldest first."""
        ...

    def get(self, project: int, version: int) -> FeatureSet:
        """Raises `UserError` naming the versions there are."""
        ...

    def begin(
        self,
        project: int,
        *,
        method: Method,
        base: int,
        labels: int,
        labels_digest: str,
        held_out: Sequence[int],
        at: float,
    ) -> FeatureSet:
        """A new version in state "training". Raises `UserError` while another one is under way."""
        ...

    def begin_plain(self, project: int, backbone: str, at: float) -> FeatureSet:
        """A new version in state "live" for another backbone of the settings; the live one is retired."""
        ...

    def update(self, project: int, version: int, *, at: float, **fields: Any) -> FeatureSet:
        """Set any of: state, backbone, checkpoint, report, reason."""
        ...

    def note(self, project: int, version: int, *, at: float, **entries: Any) -> FeatureSet:
        """Set these entries of the report and leave its others, in one transaction: jobs of a version may overlap."""
        ...

    def make_live(self, project: int, version: int, at: float) -> None:
        """Switch the project to this version in one transaction: it becomes live, the one before retired.

        Project.features_version and backbone follow. Tasks keep their states.
        """
        ...


class Rankings(Protocol):
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
    ) -> Ranking: ...
    def get(self, ranking: int) -> Ranking: ...
    def latest(self, project: int) -> Ranking | None: ...
    def history(self, project: int, limit: int = 20) -> list[Ranking]: ...
    def begin_publication(self, project: int, ranking: int, at: float) -> Publication:
        """A new attempt in state "importing" with a model_version never used before."""
        ...

    def set_publication(
        self, publication: int, state: PublicationState, *, reason: str = "", at: float | None = None
    ) -> None:
        """Going "live" retires the one that was live, in the same transaction."""
        ...

    def live(self, project: int) -> Publication | None: ...
    def publications(self, project: int, states: Sequence[PublicationState] = ()) -> list[Publication]:
        """Newest first."""
        ...


class Jobs(Protocol):
    """The work queue. Raises `QueueDown`."""

    def submit(self, name: str, *, key: str, urgent: bool = False, **arguments: Any) -> bool:
        """Enqueue job `name` unless one with this key waits already, runs, or backs off after failures."""
        ...

    def push_events(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Keep webhook events for the next `absorb`, in one round trip; about a millisecond."""
        ...

    def take_events(self, limit: int) -> AbstractContextManager[list[dict[str, Any]]]:
        """The oldest events, removed when the block ends without an error. One taker at a time (others: [])."""
        ...

    def backlog(self) -> int:
        """Events not yet taken."""
        ...

    def progress(self, done: int, total: int) -> None:
        """Report on the job that this thread runs; no effect outside a job."""
        ...

    def jobs(self) -> list[JobView]: ...
    def workers(self) -> list[WorkerView]: ...
    def ping(self) -> None: ...
    def hit(self, key: str, seconds: float) -> bool:
        """True for the first caller within `seconds`, over all processes."""
        ...


class Clock(Protocol):
    def now(self) -> float: ...

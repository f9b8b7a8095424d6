"""The nouns of the program: frozen values that cross the borders between parts.

Times are seconds since the epoch (float, UTC). `project` is always OUR id of a project, `ls_id` Label Studio's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

TaskState = Literal["pending", "embedded", "failed"]
RenewalMode = Literal["off", "suggest", "auto"]
PublicationState = Literal["importing", "live", "retired", "deleted", "failed"]


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


@dataclass(frozen=True, slots=True)
class RemoteProject:
    """A project as Label Studio shows it now."""

    ls_id: int
    key: str
    title: str
    label_config: str
    sampling: str
    model_version: str
    show_predictions: bool  # show_collab_predictions
    tasks: int
    annotations: int  # submitted ones, skips not counted
    skips: int


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotation's part that we learn from. `choice` None: no usable choice (empty, or several)."""

    id: int
    task_id: int
    choice: str | None
    skipped: bool
    updated_at: float


@dataclass(frozen=True, slots=True)
class Deleted:
    """Annotations or tasks that Label Studio says are gone; only ids are known."""

    kind: Literal["annotations", "tasks"]
    ids: tuple[int, ...]
    at: float


@dataclass(frozen=True, slots=True)
class RemoteTask:
    """A task as Label Studio shows it: image reference (None: key missing) and all annotations."""

    id: int
    image: str | None
    annotations: tuple[Annotation, ...]
    updated_at: float


@dataclass(frozen=True, slots=True)
class Task:
    """A task as we know it."""

    id: int
    image: str | None
    state: TaskState
    reason: str  # why it failed, else ""
    label: str | None
    skipped: bool
    audit: bool = False


@dataclass(frozen=True, slots=True)
class Counts:
    """Tasks of a project by state; `labels` counts tasks by class."""

    tasks: int
    embedded: int
    pending: int
    failed: int
    labeled: int
    skipped: int
    labels: Mapping[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class FeatureBatch:
    """Vectors to store: task_ids (n,) int64, vectors (n, d) float16, digests n hex strings of the image bytes."""

    task_ids: NDArray[np.int64]
    vectors: NDArray[np.float16]
    digests: Sequence[str]


@dataclass(frozen=True, slots=True, eq=False)
class FeatureTable:
    """All features of a version: task_ids (n,) int64 ascending and distinct, vectors (n, d) float16."""

    task_ids: NDArray[np.int64]
    vectors: NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class Backbone:
    """What made a set of features: enough to refuse mixing it with another's."""

    name: str
    digest: str  # of the weights
    dims: int
    pixels: int  # side of the square input

    @property
    def tag(self) -> str:
        """What a feature version is compared by."""
        return f"{self.name}@{self.digest[:12]}/{self.pixels}px"


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """One image's vector (d,) float16 and the digest of its bytes."""

    task_id: int
    vector: NDArray[np.float16]
    digest: str


@dataclass(frozen=True, slots=True)
class Failed:
    """One image that could not be embedded, with the reason in words."""

    task_id: int
    reason: str


@dataclass(frozen=True, slots=True)
class Guess:
    """The head's best class for a task and its calibrated probability."""

    choice: str
    confidence: float


@dataclass(frozen=True, slots=True, eq=False)
class Guesses:
    """Guesses for all embedded tasks by one head: task_ids, classes (indexes into `names`), confidence, (n,) each."""

    head: int
    names: tuple[str, ...]
    task_ids: NDArray[np.int64]
    classes: NDArray[np.int32]
    confidence: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Head:
    """What a learning round found; the head itself is not kept: the next round trains it from scratch."""

    id: int
    project: int
    features_version: int
    labels_digest: str
    classes: tuple[str, ...]
    report: Mapping[str, Any]  # out-of-fold accuracy, interval, calibration, recall...
    created_at: float


@dataclass(frozen=True, slots=True)
class Pick:
    """One position of a ranking."""

    task_id: int
    score: float
    note: str
    guess: Guess | None = None
    audit: bool = False  # of the audit stream: shown without the guess


@dataclass(frozen=True, slots=True)
class Ranking:
    """A stored order with everything needed to make it again."""

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


@dataclass(frozen=True, slots=True)
class Prediction:
    """What is imported into Label Studio for a task: the lowest score is served first."""

    task_id: int
    score: float
    guess: Guess | None


@dataclass(frozen=True, slots=True)
class RemoteBackend:
    """An ML backend row of a Label Studio project."""

    id: int
    url: str
    title: str
    state: str
    error: str


@dataclass(frozen=True, slots=True)
class RemoteWebhook:
    """A webhook of a Label Studio project."""

    id: int
    url: str
    headers: Mapping[str, str]
    active: bool


@dataclass(frozen=True, slots=True)
class Server:
    """Label Studio itself: version, and whose token we hold and of which kind ("legacy" or "personal")."""

    version: str
    user: str
    token: Literal["legacy", "personal"]


@dataclass(frozen=True, slots=True)
class JobView:
    """A job for people: `state` is "queued", "running" or "failed"."""

    key: str
    name: str
    project: int | None
    state: Literal["queued", "running", "failed"]
    done: int
    total: int
    rate: float  # items a second, 0 if unknown
    since: float | None
    error: str


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A live worker."""

    name: str
    host: str
    pid: int
    device: str
    job: str  # key of the job it is at, or ""
    seen_at: float

"""The ports bundled for the use cases: each takes a `Services` first. `backend.wiring` makes the real one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from backend.core.domain import DEFAULTS, ProjectSettings
from backend.core.pools import Pools
from backend.core.ports import (
    Addresses,
    Clock,
    Embedder,
    FeatureSets,
    FeatureStore,
    Jobs,
    LabelStudio,
    Projects,
    Rankings,
    Tasks,
    Trainer,
)


@dataclass(frozen=True, slots=True)
class Options:
    """What the operator decides once per installation (from `backend.settings`)."""

    public_url: str = "http://127.0.0.1:9090"  # where Label Studio reaches us
    basic_auth: tuple[str, str] | None = None
    shard_size: int = 512  # tasks an embedding job claims
    chunk_size: int = 64  # tasks per append: what a killed worker may have to do again
    lease: float = 30.0  # seconds after which a silent worker's tasks are free again
    reconcile_every: float = 60.0  # seconds between looks at Label Studio
    full_sync_every: float = 900.0  # seconds between full looks
    new_projects: ProjectSettings = DEFAULTS
    seed: int = 0
    backbone: str = ""  # name or path from the settings; "": the one that comes with the program


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a use case may touch."""

    projects: Projects
    tasks: Tasks
    rankings: Rankings
    features: FeatureStore
    jobs: Jobs
    label_studio: LabelStudio
    clock: Clock
    feature_sets: FeatureSets
    embedder: Callable[[str], Embedder]  # of a checkpoint's key; "": the backbone as it comes
    trainer: Callable[[], Trainer]
    gpu: Callable[[], bool]
    addresses: Addresses
    options: Options
    pools: Pools = field(default_factory=Pools)

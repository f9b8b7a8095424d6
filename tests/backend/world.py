"""A whole LabelQueue over fakes and a real database (SQLite if not told otherwise), with steps that tests share."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from backend.adapters.state import open_state
from backend.core.domain import Project
from backend.core.embedding import embed
from backend.core.project.enroll import enroll
from backend.core.queue import cycle
from backend.core.services import Options, Services
from backend.core.tasks import sync
from tests.fakes import (
    FakeAddresses,
    FakeEmbedder,
    FakeFeatures,
    FakeJobs,
    FakeLabelStudio,
    FakeTrainer,
    FixedClock,
)

LS_ID = 5
KEY = f"{LS_ID}.1700000000"
NAMES = ("zero", "one", "two")


@dataclass
class World:
    """`services` is what use cases take; the fakes are at hand."""

    folder: Path
    ls: FakeLabelStudio = field(default_factory=FakeLabelStudio)
    jobs: FakeJobs = field(default_factory=FakeJobs)
    clock: FixedClock = field(default_factory=FixedClock)
    addresses: FakeAddresses = field(default_factory=FakeAddresses)
    embedder: FakeEmbedder = field(default_factory=FakeEmbedder)
    renewed: FakeEmbedder = field(default_factory=lambda: FakeEmbedder(name="tuned"))  # of any checkpoint
    trainer: FakeTrainer = field(default_factory=FakeTrainer)
    features: FakeFeatures = field(default_factory=FakeFeatures)
    has_gpu: bool = False
    database_url: str = ""  # default: a SQLite file in `folder`
    options: Options = field(default_factory=lambda: Options(shard_size=8, chunk_size=4))

    def __post_init__(self) -> None:
        self.jobs.clock = self.clock
        self.state = open_state(self.database_url or f"sqlite:///{self.folder}/state.sqlite", now=self.clock.now)
        self.services = Services(
            self.state.projects,
            self.state.tasks,
            self.state.rankings,
            self.features,
            self.jobs,
            self.ls,
            self.clock,
            self.state.feature_sets,
            lambda checkpoint: self.renewed if checkpoint else self.embedder,
            lambda: self.trainer,
            lambda: self.has_gpu,
            self.addresses,
            self.options,
        )

    @property
    def project(self) -> Project:
        return self.services.projects.by_ls_id(LS_ID)

    def asked(self) -> list[str]:
        """Names of the jobs submitted since the last call; all of them count as done."""
        self.jobs.hits.clear()
        return self.jobs.names()

    def set(self, **fields: Any) -> Project:
        """Give the project these settings, or what else an edit may change, unchecked."""
        return self.services.projects.edit(self.project.id, lambda now: replace(now, **fields))

    def connect(self, tasks: int = 30) -> Project:
        """A project with tasks that is enrolled and synced."""
        self.ls.add_project(LS_ID, tasks)
        remote = self.ls.remote[LS_ID]
        enroll(self.services, remote, self.ls.parse_config(remote.label_config))
        sync.reconcile(self.services, self.project.id, full=True)
        return self.project

    def embed_all(self) -> None:
        while self.services.tasks.counts(self.project.id).pending:
            embed.embed(self.services, self.project.id, "worker-1")

    def annotate(self, task: int, choice: str | None) -> None:
        """Submit an annotation in Label Studio; nobody tells us."""
        self.clock.time += 0.01
        self.ls.annotate(LS_ID, task, choice, self.clock.time)

    def label(self, *tasks: int) -> None:
        """Annotate with the class that the vectors show, and reconcile."""
        for task in tasks:
            self.annotate(task, NAMES[task % 3])
        sync.reconcile(self.services, self.project.id)
        self.clock.time += 10.0

    def rank(self) -> list[int]:
        """One learning round; the order that is served afterwards."""
        cycle.cycle(self.services, self.project.id, "test")
        self.clock.time += 10.0
        return self.served()

    def served(self) -> list[int]:
        """Task ids in the order in which Label Studio would serve them now."""
        remote, tasks = self.ls.remote[LS_ID], self.ls.items[LS_ID]
        found = self.ls.predictions.get((LS_ID, remote.model_version), [])
        ordered = [p.task_id for p in sorted(found, key=lambda p: p.score)]
        return [task for task in ordered if task in tasks and not tasks[task].annotations]

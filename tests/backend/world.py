"""A whole LabelQueue over fakes and a real SQLite file, with steps that tests share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from backend.adapters.state import open_state
from backend.core import cycle, embed, sync
from backend.core.domain import Annotation, Backbone, Embedded, Failed, LabelConfig, Project, RemoteTask
from backend.core.register import register
from backend.core.services import Options, Services
from tests.fakes import FakeFeatures, FakeJobs, FakeLabelStudio, FixedClock

LS_ID = 5
KEY = f"{LS_ID}.1700000000"
NAMES = ("zero", "one", "two")
CONFIG = LabelConfig("image", "digit", "img", NAMES, True)
LABEL_CONFIG = (
    '<View><Image name="img" value="$image"/><Choices name="digit" toName="img" choice="single">'
    '<Choice value="zero"/><Choice value="one"/><Choice value="two"/></Choices></View>'
)


@dataclass
class FakeEmbedder:
    """A vector per task from its id, in three clusters by id modulo 3; `die_after` raises midway."""

    dims: int = 8
    die_after: int | None = None
    name: str = "fake"
    device: str = "cpu"

    @property
    def backbone(self) -> Backbone:
        return Backbone(self.name, "0123456789abcdef", self.dims, 32)

    def embed(self, items: Iterable[tuple[int, str]]) -> Iterator[Embedded | Failed]:
        for count, (task, image) in enumerate(items):
            if self.die_after is not None and count >= self.die_after:
                raise RuntimeError("killed")
            noise = np.random.default_rng(task).normal(0, 0.1, self.dims)
            noise[task % 3] += 3.0
            if "broken" in image:
                yield Failed(task, "the image is truncated")
            else:
                yield Embedded(task, noise.astype(np.float16), f"{task:064x}")


@dataclass
class World:
    """`services` is what use cases take; the fakes are at hand."""

    folder: Path
    ls: FakeLabelStudio = field(default_factory=FakeLabelStudio)
    jobs: FakeJobs = field(default_factory=FakeJobs)
    clock: FixedClock = field(default_factory=FixedClock)
    embedder: FakeEmbedder = field(default_factory=FakeEmbedder)
    features: FakeFeatures = field(default_factory=FakeFeatures)
    options: Options = field(default_factory=lambda: Options(shard_size=8, chunk_size=4))

    def __post_init__(self) -> None:
        self.state = open_state(f"sqlite:///{self.folder}/state.sqlite", now=self.clock.now)
        self.services = Services(
            self.state.projects,
            self.state.tasks,
            self.state.rankings,
            self.features,
            self.jobs,
            self.ls,
            self.clock,
            lambda: self.embedder,
            self.options,
        )

    @property
    def project(self) -> Project:
        return self.services.projects.by_ls_id(LS_ID)

    @property
    def appended(self) -> list[int]:
        """Every task id ever appended to the feature store."""
        return [task for batch in self.features.appended for task in batch]

    def asked(self) -> list[str]:
        """Names of the jobs submitted since the last call; all of them count as done."""
        names = self.jobs.names()
        self.jobs.submitted.clear()
        self.jobs.finish()
        return names

    def import_tasks(self, tasks: int) -> None:
        self.ls.add_project(LS_ID, title="Digits", label_config=LABEL_CONFIG)
        self.ls.put(LS_ID, *[RemoteTask(n + 1, f"/data/upload/{n}.png", (), 10.0) for n in range(tasks)])

    def connect(self, tasks: int = 30) -> Project:
        """A project with tasks that is registered and synced."""
        self.import_tasks(tasks)
        register(self.services, KEY, LABEL_CONFIG)
        sync.reconcile(self.services, self.project.id, full=True)
        return self.project

    def embed_all(self) -> None:
        while embed.embed(self.services, self.project.id, "worker-1"):
            pass

    def annotate(self, task: int, choice: str | None, **more: Any) -> None:
        """Submit an annotation in Label Studio; nobody tells us."""
        self.clock.advance(0.01)
        old = self.ls.remote_tasks[LS_ID][task]
        made = Annotation(task * 1000 + len(old.annotations), task, choice, more.get("skipped", False), self.clock.at)
        self.ls.put(LS_ID, replace(old, annotations=(*old.annotations, made), updated_at=self.clock.at))

    def label(self, *tasks: int) -> None:
        """Annotate with the class that the vectors show, and reconcile."""
        for task in tasks:
            self.annotate(task, NAMES[task % 3])
        sync.reconcile(self.services, self.project.id)
        self.clock.advance(10.0)

    def drop(self, *tasks: int) -> None:
        """Delete tasks in Label Studio."""
        for task in tasks:
            del self.ls.remote_tasks[LS_ID][task]
        self.ls.put(LS_ID)

    def rank(self) -> list[int]:
        """One learning round; the order that is served afterwards."""
        cycle.cycle(self.services, self.project.id, "test")
        self.clock.advance(10.0)
        return self.served()

    def served(self) -> list[int]:
        return self.ls.served(LS_ID)

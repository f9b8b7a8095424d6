"""A backbone and a trainer that need no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from backend.core.domain import Backbone, Embedded, Failed
from backend.core.domain.training import Epoch, TrainingOrder, TrainingState


class Killed(BaseException):
    """Stands for kill -9."""


@dataclass
class FakeEmbedder:
    """A vector per task from its id; images whose reference holds "broken" fail; `die_after` raises midway.

    `shown` is what it was given by task. `kills` says of a task whether it ends the worker; `silent` are tasks whose
    images Label Studio does not hand out.
    """

    dims: int = 8
    die_after: int | None = None
    embedded: list[int] = field(default_factory=list)
    shown: dict[int, tuple[str, ...]] = field(default_factory=dict)
    name: str = "fake"
    gap: float = 3.0  # from the origin to each cluster
    noise: float = 0.1
    meanwhile: Callable[[], object] | None = None  # what happens, once, after the fifth image
    kills: Callable[[int], bool] = lambda task: False
    killed: bool = False
    silent: set[int] = field(default_factory=set)

    @property
    def backbone(self) -> Backbone:
        return Backbone(self.name, "0123456789abcdef", self.dims, 32)

    @property
    def device(self) -> str:
        return "cpu"

    def vector(self, task: int) -> Any:
        """One of three clusters, by task id modulo 3."""
        made = np.random.default_rng(task).normal(0, self.noise, self.dims)
        made[task % 3] += self.gap
        return made.astype(np.float16)

    def embed(self, items: Iterable[tuple[int, tuple[str, ...]]]) -> Iterator[Embedded | Failed]:
        for count, (task, refs) in enumerate(items):
            if self.die_after is not None and count >= self.die_after:
                raise RuntimeError("killed")
            self.killed = self.kills(task)
            if self.killed:
                raise Killed
            if task in self.silent:
                yield Failed(task, "no complete answer within 20 s", unanswered=True)
                continue
            if count == 5 and self.meanwhile is not None:
                happens, self.meanwhile = self.meanwhile, None
                happens()
            self.embedded.append(task)
            self.shown[task] = refs
            broken = sum("broken" in ref for ref in refs)
            if broken == len(refs):
                yield Failed(task, "the image is truncated")
            else:
                note = f"{broken} of its {len(refs)} images could not be read" if broken else ""
                yield Embedded(task, self.vector(task), f"{task:064x}", note)


@dataclass
class FakeTrainer:
    """Trains `per_slice` epochs a call and names a checkpoint; `orders` is what it was told."""

    total: int = 4
    per_slice: int = 2
    orders: list[TrainingOrder] = field(default_factory=list)
    done: dict[str, int] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)
    meanwhile: Callable[[], object] | None = None  # what happens during a slice, once; an error is the slice's

    def slice(self, order: TrainingOrder, *, seconds: float, cancelled: Callable[[], bool]) -> TrainingState:
        self.orders.append(order)
        if self.meanwhile is not None:
            happens, self.meanwhile = self.meanwhile, None
            happens()
        reached = min(self.done.get(order.run, 0) + self.per_slice, self.total)
        self.done[order.run] = reached
        epochs = [Epoch(loss=1.0, held_out_loss=1.0, accuracy=0.5, seconds=3.0)] * reached
        return TrainingState(tuple(epochs), self.total, reached == self.total, f"{order.run}.safetensors")

    def drop(self, run: str) -> None:
        self.dropped.append(run)

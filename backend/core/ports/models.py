"""What holds a backbone: it embeds images, or is fine-tuned on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from backend.core.domain import Backbone, Embedded, Failed
from backend.core.domain.training import TrainingOrder, TrainingState


class Embedder(Protocol):
    """A warm backbone with its image loader; decoding overlaps with the forward pass."""

    @property
    def backbone(self) -> Backbone: ...

    @property
    def device(self) -> str: ...

    def embed(self, items: Iterable[tuple[int, tuple[str, ...]]]) -> Iterator[Embedded | Failed]:
        """One vector for each (task id, references of its images), in any order.

        A task of which no image can be read yields `Failed`; a bad one among others is told by `Embedded.note`.
        """
        ...


class Trainer(Protocol):
    """Fine-tunes a backbone slice by slice; everything that a slice needs is kept in the checkpoint store."""

    def slice(self, order: TrainingOrder, *, seconds: float, cancelled: Callable[[], bool]) -> TrainingState:
        """Go on with the run for about `seconds` (one epoch at least) and keep it; safe to kill and call again."""
        ...

    def drop(self, run: str) -> None:
        """Delete what the run keeps except its best weights."""
        ...

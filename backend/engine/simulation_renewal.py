"""Renewal of features for a simulation: the service's trainer and embedder on the images that are replayed."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from backend.adapters.images.folder import embed_all
from backend.core.domain.training import Example, TrainingOrder
from backend.core.ports import Embedder, Trainer
from backend.core.replay.simulate import Renew, Reveal

SLICE_SECONDS = 10.0  # how often the progress moves

Report = Callable[[str, int, int], None]
"""Told what is done now, and how much of it: (words, done, total)."""


def renewer(
    references: Sequence[str],
    classes: tuple[str, ...],
    trainer: Trainer,
    embedder: Callable[[str], Embedder],
    *,
    key: str,
    cache: Path,
    forget: Callable[[str], None],
    report: Report = lambda what, done, total: None,
) -> Renew:
    """Fine-tune on what is revealed and embed all images anew: minutes a call on a CPU.

    references : of all rows' images, as trainer and embedder read them; embedder : of a checkpoint's key; forget :
    deletes a checkpoint; key : what else the outcome depends on (backbone, size, recipes, the images' bytes if these
    can change). The new features are kept in `cache`, by all of this and the labels, the split and the seed: a
    simulation that is run again, or was stopped, does not train again.
    """
    pool = hashlib.sha256("\n".join((key, *references)).encode()).hexdigest()

    def examples(rows: NDArray[np.int64], labels: NDArray[np.int64]) -> tuple[Example, ...]:
        pairs = zip(rows.tolist(), labels.tolist(), strict=True)
        return tuple(Example(row, references[row], label) for row, label in pairs)

    def renew(reveal: Reveal) -> NDArray[np.float16]:
        order = TrainingOrder(
            run="",
            backbone="",  # the trainer's own
            method=reveal.method,
            classes=classes,
            train=examples(reveal.train, reveal.train_labels),
            held_out=examples(reveal.held_out, reveal.held_out_labels),
            seed=reveal.seed,
        )
        run = "simulation-" + hashlib.sha256(f"{pool} {order}".encode()).hexdigest()[:16]
        stored = cache / f"{run}.npy"
        if stored.exists():
            return np.asarray(np.load(stored), np.float16)
        checkpoint = _train(trainer, dataclasses.replace(order, run=run), report)
        vectors = embed_all(
            references, embedder(checkpoint), progress=lambda done, total: report("embedding anew", done, total)
        )
        cache.mkdir(parents=True, exist_ok=True)
        part = stored.with_suffix(f".{uuid4().hex}.part.npy")
        np.save(part, vectors)
        part.replace(stored)
        trainer.drop(run)
        forget(checkpoint)
        return vectors

    return renew


def _train(trainer: Trainer, order: TrainingOrder, report: Report) -> str:
    """The key of the best weights."""
    while True:
        state = trainer.slice(order, seconds=SLICE_SECONDS, cancelled=lambda: False)
        if state.finished:
            return state.checkpoint
        report("fine-tuning", len(state.epochs), state.total)

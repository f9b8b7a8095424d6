"""Renewal of features for a simulation on a folder: the service's trainer and embedder, on local files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.adapters.folder import Folder, embed_all
from backend.core.ports import Embedder, Trainer
from backend.core.simulate import Renew, Reveal
from backend.core.training import Example, TrainingOrder

SLICE_SECONDS = 600.0


def renewer(folder: Folder, trainer: Trainer, embedder: Callable[[str], Embedder], *, key: str, cache: Path) -> Renew:
    """Fine-tune on what is revealed and embed the folder anew: minutes a call on a CPU.

    embedder : of a checkpoint's key; key : what else a run depends on (backbone, size, images). The new features are
    kept in `cache`, so that a simulation that was stopped does not train again.
    """
    references = folder.references

    def examples(rows: NDArray[np.int64], labels: NDArray[np.int64]) -> tuple[Example, ...]:
        pairs = zip(rows.tolist(), labels.tolist(), strict=True)
        return tuple(Example(row, references[row], label) for row, label in pairs)

    def renew(reveal: Reveal) -> NDArray[np.float16]:
        train = examples(reveal.train, reveal.train_labels)
        held_out = examples(reveal.held_out, reveal.held_out_labels)
        said = f"{key} {folder.root} {reveal.method} {reveal.seed} {train} {held_out}"
        run = "simulation-" + hashlib.sha256(said.encode()).hexdigest()[:16]
        stored = cache / f"{run}.npy"
        if stored.exists():
            return np.asarray(np.load(stored), np.float16)
        order = TrainingOrder(
            run=run,
            backbone="",  # the trainer's own
            method=reveal.method,
            classes=folder.classes,
            train=train,
            held_out=held_out,
            seed=reveal.seed,
        )
        state = trainer.slice(order, seconds=SLICE_SECONDS, cancelled=lambda: False)
        while not state.finished:
            state = trainer.slice(order, seconds=SLICE_SECONDS, cancelled=lambda: False)
        vectors = embed_all(references, embedder(state.checkpoint))
        cache.mkdir(parents=True, exist_ok=True)
        part = stored.with_suffix(".part.npy")
        np.save(part, vectors)
        part.replace(stored)
        trainer.drop(run)
        return vectors

    return renew

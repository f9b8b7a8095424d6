"""Renewal of features for a simulation on a folder: the service's trainer and embedder on local files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.adapters.folder import NO_SERVER, Folder, embed_all
from backend.adapters.images import ImageSource
from backend.core.simulate import Renew, Reveal
from backend.core.training import Example, TrainingOrder
from backend.settings import Settings

SLICE_SECONDS = 600.0


def open_images(settings: Settings, root: Path) -> ImageSource:
    """Images below `root`, under the operator's limits; nothing is asked for over the network."""
    return ImageSource(
        label_studio_url=NO_SERVER,
        auth_headers=dict,
        local_root=root,
        max_bytes=int(settings.max_image_mb * 2**20),
        max_pixels=settings.max_image_pixels,
    )


def renewer(folder: Folder, settings: Settings, cache: Path) -> Renew:
    """Fine-tune on revealed labels and embed the folder anew; minutes a call on a CPU, kept by what was revealed."""
    from backend.adapters.embedder import open_embedder
    from backend.adapters.finetune import open_trainer

    images, references = open_images(settings, folder.root), folder.references

    def examples(rows: NDArray[np.int64], labels: NDArray[np.int64]) -> tuple[Example, ...]:
        pairs = zip(rows.tolist(), labels.tolist(), strict=True)
        return tuple(Example(row, references[row], label) for row, label in pairs)

    def renew(reveal: Reveal) -> NDArray[np.float16]:
        train = examples(reveal.train, reveal.train_labels)
        held_out = examples(reveal.held_out, reveal.held_out_labels)
        said = (
            f"{folder.root} {settings.backbone} {settings.image_size} {reveal.method} {reveal.seed} {train} {held_out}"
        )
        order = TrainingOrder(
            run="simulation-" + hashlib.sha256(said.encode()).hexdigest()[:16],
            backbone=settings.backbone,
            method=reveal.method,
            classes=folder.classes,
            train=train,
            held_out=held_out,
            seed=reveal.seed,
        )
        trainer = open_trainer(
            images,
            storage_url=str(cache),
            backbone=settings.backbone,
            pixels=settings.image_size,
            device=settings.device,
        )
        state = trainer.slice(order, seconds=SLICE_SECONDS, cancelled=lambda: False)
        while not state.finished:
            state = trainer.slice(order, seconds=SLICE_SECONDS, cancelled=lambda: False)
        trainer.drop(order.run)
        embedder = open_embedder(
            images,
            backbone=state.checkpoint,
            pixels=settings.image_size,
            device=settings.device,
            precision=settings.precision,
        )
        try:
            return embed_all(references, embedder)
        finally:
            embedder.close()

    return renew

"""Orders of fine-tuning on the drawn digits, and a process that works on one until it is killed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from backend.core.domain.training import Example, Method, TrainingOrder
from backend.core.errors import BadImage
from backend.engine.finetune import run
from backend.engine.finetune.trainer import TimmTrainer, open_trainer
from scripts.digits import digits, label_of

PIXELS = 32
CLASSES = tuple("0123456789")


class Files:
    """References are paths."""

    max_pixels = 1_000_000

    def fetch(self, ref: str, task_id: int) -> bytes:
        try:
            return Path(ref).read_bytes()
        except OSError as error:
            raise BadImage(f"{ref} is gone") from error


def order_of(
    folder: Path, n: int, *, classes: int = 10, method: Method = "lp-ft", epochs: int | None = 2, shuffle: bool = False
) -> TrainingOrder:
    """The first `n` digits below `classes`, each fifth held out; `shuffle` spoils all labels, the stopping ones too."""
    paths = [path for path in digits(folder, 3 * n, pixels=64) if int(label_of(path)) < classes][:n]
    examples = [Example(number, str(path), int(label_of(path))) for number, path in enumerate(paths)]
    if shuffle:
        mixed = np.random.default_rng(0).permutation([example.label for example in examples]).tolist()
        examples = [Example(e.task_id, e.image, label) for e, label in zip(examples, mixed, strict=True)]
    train = [example for number, example in enumerate(examples) if number % 5]
    held_out = tuple(examples[::5])
    return TrainingOrder("p1-v2", "", method, CLASSES[:classes], tuple(train), held_out, 0, epochs)


def trainer_at(storage: Path, pixels: int = PIXELS) -> TimmTrainer:
    """A fresh trainer, as a fresh worker has it."""
    return open_trainer(Files(), storage_url=str(storage), pixels=pixels, device="cpu")


def never() -> bool:
    """Nobody cancels."""
    return False


def main() -> None:
    """Train until killed: python -m tests.backend.finetune_orders IMAGES STORAGE; says each step."""
    step = run.Run.step

    def told(run, rows):
        print(f"epoch {run.done}", flush=True)
        return step(run, rows)

    run.Run.step = told
    images, storage = map(Path, sys.argv[1:])
    trainer_at(storage).slice(order_of(images, 40, classes=3, epochs=50), seconds=1e9, cancelled=never)


if __name__ == "__main__":
    main()

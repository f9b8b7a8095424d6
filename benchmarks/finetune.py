"""Fine-tuning against a bare training loop of the same network, batch and precision, in one process.

The system: `Run.epoch` without the look at the held-out labels: cached images, crops and flips, weights, clipping,
schedule. Bare: forward, backward and AdamW's step, on one batch that is ready on the device. Both are repeated in turn,
so that a busy machine hits both; the best of each counts.

    python -m benchmarks.finetune [--pixels 128] [--count 128] [--batch 32] [--repeat 3] [--backbone NAME]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import tempfile
import time
from pathlib import Path

import torch

from backend.core.domain.training import Example, TrainingOrder
from backend.engine.backbone import open_backbone
from backend.engine.backbone_fast import choose_device, keep_memory
from backend.engine.finetune.images import Pictures
from backend.engine.finetune.model import optimizer_of
from backend.engine.finetune.recipe import FT
from backend.engine.finetune.run import Material, Run
from scripts.digits import digits, label_of


class Files:
    """References are paths."""

    max_pixels = 10**8

    def fetch(self, ref: str, task_id: int) -> bytes:
        return Path(ref).read_bytes()


def settle(device: torch.device) -> float:
    """The time, once the device has done its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def bare(run: Run, steps: int) -> float:
    """Images a second of the least that training is."""
    model, batch = run.model, run.recipe.batch
    optimizer = optimizer_of(model, run.recipe)
    side = run.side
    images = torch.randn(batch, 3, side, side, device=run.device).to(memory_format=torch.channels_last)
    labels = torch.arange(batch, device=run.device) % model.head.out_features
    model.prepare(run.recipe)
    start = settle(run.device)
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        with run.autocast():
            logits = model(images)
        torch.nn.functional.cross_entropy(logits.float(), labels).backward()
        optimizer.step()
    return steps * batch / (settle(run.device) - start)


def system(run: Run) -> float:
    """Images a second of an epoch as the service does it."""
    start = settle(run.device)
    run.train_once(lambda: False)
    return len(run.material.train) / (settle(run.device) - start)


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pixels", type=int, default=128)
    parser.add_argument("--count", type=int, default=128)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--backbone", default="efficientnet-lite0")
    wanted = parser.parse_args()
    device = choose_device()
    keep_memory()
    if device.type == "cpu":
        torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // 2))
    with tempfile.TemporaryDirectory() as folder:
        paths = digits(Path(folder), wanted.count, pixels=wanted.pixels)
        examples = tuple(Example(n, str(path), int(label_of(path))) for n, path in enumerate(paths))
        network = open_backbone(wanted.backbone, pixels=wanted.pixels)
        pictures = Pictures(Files(), examples, wanted.pixels)
    order = TrainingOrder("bench", wanted.backbone, "ft", tuple("0123456789"), examples, (), 0)
    recipe = dataclasses.replace(FT, batch=wanted.batch)
    run = Run(order, recipe, network, Material(pictures, pictures), device)
    steps = -(-wanted.count // wanted.batch)
    bare(run, 1), system(run)
    pairs = [(bare(run, steps), system(run)) for _ in range(wanted.repeat)]
    best_bare, best_system = (max(rates) for rates in zip(*pairs, strict=True))
    result = {
        "device": str(device),
        "precision": str(run.precision),
        "threads": torch.get_num_threads(),
        **vars(wanted),
        "bare": round(best_bare, 1),
        "system": round(best_system, 1),
        "ratio": round(best_system / best_bare, 3),
        "ratios": [round(mine / least, 3) for least, mine in pairs],
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

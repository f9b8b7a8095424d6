"""One fine-tuning in memory: epochs over the pictures, with smaller parts where memory is short."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from backend.core.domain.training import Epoch, TrainingOrder
from backend.core.errors import TrainingFailed
from backend.engine.backbone import Network
from backend.engine.backbone_fast import choose_precision
from backend.engine.checkpoints import About
from backend.engine.finetune.images import Augment, Normalise, Pictures
from backend.engine.finetune.model import Classifier, optimizer_of, set_linear_head
from backend.engine.finetune.recipe import Recipe, rate_at

log = logging.getLogger(__name__)
LOOK_EVERY = 1.0  # seconds between two questions whether it was cancelled
FULL = ("can't allocate memory", "not enough memory")  # what torch says on a CPU, in a RuntimeError
T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """The pictures of an order."""

    train: Pictures
    held_out: Pictures


class Run:
    """The network, its optimizer and where they stand. `done` epochs (LP counts as one) are behind it.

    Everything that is random in an epoch is seeded by (order's seed, epoch), so that an epoch that is begun anew after
    a kill is the same: that is the generator's whole state. On CUDA the sums' order, and so the last bits, may differ.
    """

    def __init__(
        self, order: TrainingOrder, recipe: Recipe, network: Network, material: Material, device: torch.device
    ) -> None:
        self.order = order
        self.recipe = recipe
        self.material = material
        self.device = device
        self.side = network.about.pixels
        self.done = 0
        self.part = recipe.batch  # examples that fit into memory at once
        self.records: list[Epoch] = []
        with _seeded(order, "init"):
            model = Classifier(network, len(order.classes))
        self.model = model.to(device).to(memory_format=torch.channels_last)
        self.optimizer = optimizer_of(self.model, recipe)
        # not on CPUs: without AMX the backward pass of depthwise convolutions is 2.5x slower in bfloat16
        self.precision = choose_precision(device) if device.type == "cuda" else torch.float32
        self._prepare = Normalise(network.mean, network.std, device)
        self._augment = Augment(network.about.pixels, recipe.crop, recipe.flip)

    @property
    def total(self) -> int:
        """Epochs planned, LP among them."""
        return self.recipe.epochs + (self.order.method == "lp-ft")

    @property
    def best(self) -> int | None:
        """Which record is the best one by held-out loss; LP's is not among them, as it leaves the features alone."""
        first = self.total - self.recipe.epochs
        losses = [record.held_out_loss for record in self.records[first:]]
        return first + int(np.argmin(losses)) if losses else None

    @property
    def finished(self) -> bool:
        """All epochs are done, or the held-out loss has not fallen for too long."""
        best = self.best
        stale = best is not None and len(self.records) - 1 - best >= self.recipe.patience
        return self.done >= self.total or stale

    def epoch(self, cancelled: Callable[[], bool]) -> bool:
        """Do the next epoch and record it; False if it was cancelled on the way, which leaves the run useless."""
        start = time.perf_counter()
        if self.done < self.total - self.recipe.epochs:
            loss: float | None = self._linear()
        else:
            loss = self.train_once(cancelled)
        if loss is None:
            return False
        held_out_loss, accuracy = self.judge(self.material.held_out)
        if not np.isfinite([loss, held_out_loss]).all():
            raise TrainingFailed(f"the loss is no longer finite after {self.done} epochs; the features are kept as is")
        seconds = time.perf_counter() - start
        self.records.append(Epoch(loss, held_out_loss, accuracy, round(seconds, 3)))
        self.done += 1
        return True

    def judge(self, pictures: Pictures) -> tuple[float, float]:
        """Mean log loss (nats) and accuracy without augmentation."""
        logits = self._over(pictures, self.model)
        losses = nn.functional.cross_entropy(logits, pictures.labels, reduction="none")
        return float(losses.double().mean()), float((logits.argmax(1) == pictures.labels).double().mean())

    def _linear(self) -> float:
        train = self.material.train
        known = train.weights == 1  # pseudo-labels would be judged by themselves out of fold
        features = self._over(train, self.model.backbone)
        set_linear_head(self.model, features[known].numpy(), train.labels[known].numpy(), self.order.seed)
        return self.judge(train)[0]

    def _over(self, pictures: Pictures, network: nn.Module) -> torch.Tensor:
        """(n, d) float32 on the CPU, of a network in eval mode."""
        self.model.eval()

        def forward(rows: torch.Tensor) -> torch.Tensor:
            with torch.inference_mode(), self.autocast():
                out: torch.Tensor = network(self._prepare(pictures.batch(rows)))
                return out.float().cpu()

        parts = torch.arange(len(pictures)).tensor_split(-(-len(pictures) // self.recipe.batch))
        return torch.cat([torch.cat(self._in_parts(rows, forward)) for rows in parts]).clone()

    def train_once(self, cancelled: Callable[[], bool]) -> float | None:
        """One epoch of steps, the same whenever it is done; the mean loss, None if it was cancelled on the way."""
        with _seeded(self.order, str(self.done)):
            return self._steps(cancelled)

    def _steps(self, cancelled: Callable[[], bool]) -> float | None:
        self.model.prepare(self.recipe)
        n = len(self.material.train)
        batches = torch.randperm(n).tensor_split(max(1, -(-n // self.recipe.batch)))  # of like size: no batch of one
        first = self.done - (self.total - self.recipe.epochs)
        total, looked = torch.zeros((), device=self.device), time.monotonic()
        for step, rows in enumerate(batches):
            if time.monotonic() - looked > LOOK_EVERY:
                if cancelled():
                    return None
                looked = time.monotonic()
            rate = rate_at((first + step / len(batches)) / self.recipe.epochs)
            for group in self.optimizer.param_groups:
                group["lr"] = group["rate"] * rate
            total += self.step(rows)
        return float(total) / n

    def step(self, rows: torch.Tensor) -> torch.Tensor:
        """One step on these examples; the sum of their weighted losses, on the device."""
        train = self.material.train
        images = self._augment(self._prepare(train.batch(rows)))
        labels = train.labels[rows].to(self.device, non_blocking=True)
        weights = train.weights[rows].to(self.device, non_blocking=True)

        def backward(chosen: torch.Tensor) -> torch.Tensor:
            with self.autocast():
                logits = self.model(images[chosen].contiguous(memory_format=torch.channels_last))
            losses = nn.functional.cross_entropy(logits.float(), labels[chosen], reduction="none")
            weighted = (losses * weights[chosen]).sum()
            torch.autograd.backward(
                weighted / len(rows)
            )  # by the number, not by the weights' sum: pseudo-labels pull less
            return weighted.detach()

        def clear() -> None:
            self.optimizer.zero_grad(set_to_none=True)

        clear()
        losses = self._in_parts(torch.arange(len(rows)), backward, clear)
        nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        self.optimizer.step()
        return torch.stack(losses).sum()

    def _in_parts(
        self, rows: torch.Tensor, work: Callable[[torch.Tensor], T], again: Callable[[], None] = lambda: None
    ) -> list[T]:
        """`work` on rows at once, or in parts that fit into memory; `again` undoes what was done before a restart."""
        while True:
            try:
                return [work(rows[i : i + self.part]) for i in range(0, len(rows), self.part)]
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if type(error) is RuntimeError and not any(text in str(error) for text in FULL):
                    raise
                size = min(self.part, len(rows))
                if size == 1:
                    raise TrainingFailed(
                        "there is not enough memory to train on one image at a time; "
                        "set a smaller IMAGE_SIZE or backbone, or free the GPU"
                    ) from error
            again()  # outside of the handler: its traceback holds on to the tensors that filled the memory
            self.part = (size + 1) // 2
            log.warning("out of memory: going on with %d images at a time", self.part)
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    def autocast(self) -> torch.autocast:
        """The precision of the forward pass."""
        enabled = self.precision == torch.bfloat16
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)


def position(run: Run) -> About:
    """Where the run stands, as JSON; the schedule is a function of `done`."""
    return {"done": run.done, "records": [asdict(record) for record in run.records], "part": run.part}


@contextmanager
def _seeded(order: TrainingOrder, what: str) -> Iterator[None]:
    """Torch's global generators, which dropout and torchvision draw from, seeded inside and restored after."""
    digest = hashlib.blake2b(f"{order.seed}:{order.method}:{what}".encode(), digest_size=8).digest()
    with torch.random.fork_rng():
        torch.manual_seed(int.from_bytes(digest, "big") >> 1)
        yield

"""Fine-tunes a backbone slice by slice (LP-FT for few labels, FT for more) and survives being killed at any line.

LP-FT (Kumar et al. 2022, arXiv 2202.10054; ASVP's choice): a linear head on frozen features first, then all weights at
a low rate, so that a random head's gradients do not distort the features. Here the head is solved exactly, and AdamW
takes the place of SGD: its rates carry over between convolutional networks and transformers.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from backend.core.domain.training import Epoch, Example, TrainingOrder, TrainingState
from backend.core.errors import BadSetting, TrainingFailed
from backend.engine.backbone import DEFAULT, Network, architecture_of, open_backbone
from backend.engine.backbone_fast import choose_device, keep_memory
from backend.engine.checkpoints import BEST, LAST, About, Checkpoints
from backend.engine.decoding.decode import Decode, decode
from backend.engine.finetune.images import CACHE_BYTES, Images, Pictures
from backend.engine.finetune.model import fill, fill_moments, head_name, moments_of, weights_of
from backend.engine.finetune.recipe import Recipe, recipe_of
from backend.engine.finetune.run import Material, Run, position

log = logging.getLogger(__name__)


def open_trainer(
    images: Images,
    *,
    storage_url: str,
    backbone: str = "",
    pixels: int | None = None,
    device: str = "auto",
    decode: Decode = decode,
) -> TimmTrainer:
    """A trainer of `backbone` (see `open_backbone`; "": the one that works offline) for images of `pixels`.

    An order that names a backbone is trained on that one. `device`: "auto", "cpu", "cuda", "cuda:1". Nothing is loaded
    before the first slice. Raises `BadSetting` for a device that torch does not know.
    """
    try:
        where = choose_device(device)
    except RuntimeError as error:
        raise BadSetting(f"device {device} cannot be used: {str(error).splitlines()[0]}") from error
    return TimmTrainer(images, Checkpoints(storage_url), backbone, pixels, where, decode=decode)


class TimmTrainer:
    """`ports.Trainer`; made by `open_trainer`. The run of the last slice stays in memory until it ends."""

    def __init__(
        self,
        images: Images,
        checkpoints: Checkpoints,
        backbone: str,
        pixels: int | None,
        device: torch.device,
        cache_bytes: int = CACHE_BYTES,
        decode: Decode = decode,
    ) -> None:
        self._decode = decode
        self._images = images
        self._checkpoints = checkpoints
        self._backbone = backbone
        self._pixels = pixels
        self._device = device
        self._cache_bytes = cache_bytes
        self._warm: tuple[TrainingOrder, Run, Network] | None = None
        self._one_at_a_time = threading.Lock()

    def slice(self, order: TrainingOrder, *, seconds: float, cancelled: Callable[[], bool]) -> TrainingState:
        """Whole epochs for about `seconds`, one at least, each kept when it is done.

        An epoch that is cancelled or killed on the way is lost, and done again by the next call: on a CPU with the same
        result to the last bit.

        Raises
        ------
        TrainingFailed: no readable image, fewer than two classes, no memory for one image, a loss that is not finite.
        LabelStudioDown, BackboneError, StorageError: what is needed is away; trying again may help.
        """
        with self._one_at_a_time, _threads(self._device):
            run, network = self._resume(order)
            until = time.monotonic() + seconds
            while not run.finished:
                try:
                    whole = run.epoch(cancelled)
                except BaseException:
                    self._warm = None  # between two steps: only the checkpoint is sound
                    raise
                if not whole:
                    self._warm = None
                    break
                self._keep(run, network)
                if time.monotonic() >= until or cancelled():
                    break
            if run.finished:
                self._warm = None
            return TrainingState(tuple(run.records), run.total, run.finished, _key(order, BEST))

    def drop(self, run: str) -> None:
        """Delete the state of a run that is needed to go on; its best weights stay."""
        self._checkpoints.delete(f"checkpoints/{run}/{LAST}")
        if self._warm is not None and self._warm[0].run == run:
            self._warm = None

    def _resume(self, order: TrainingOrder) -> tuple[Run, Network]:
        """The run where its last kept epoch ended: in memory, from its checkpoint, or new."""
        about: About = self._checkpoints.about(_key(order, LAST)) or {}
        if self._warm is not None and self._warm[0] == order and self._warm[1].done == about.get("done"):
            return self._warm[1], self._warm[2]
        self._warm = None
        keep_memory()
        network = open_backbone(order.backbone or self._backbone or DEFAULT, pixels=self._pixels)
        recipe = recipe_of(order)
        run = Run(order, recipe, network, self._material(order, network), self._device)
        if _continues(about, order, recipe, network):
            self._restore(run, network, about)
        self._warm = (order, run, network)
        return run, network

    def _material(self, order: TrainingOrder, network: Network) -> Material:
        train = self._pictures(order.train, network, "training")
        if len(set(train.labels.tolist())) < 2:
            raise TrainingFailed(
                f"the {len(train)} readable images to train on show fewer than two classes; label more classes first"
            )
        return Material(train, self._pictures(order.held_out, network, "held-out"))

    def _pictures(self, examples: tuple[Example, ...], network: Network, which: str) -> Pictures:
        pictures = Pictures(self._images, examples, network.about.pixels, self._cache_bytes, self._decode)
        if not len(pictures):
            raise TrainingFailed(
                f"none of the {len(examples)} {which} images can be read; see the log for the reason of each"
            )
        return pictures

    def _keep(self, run: Run, network: Network) -> None:
        """First the best weights, then the state: a kill in between repeats the epoch, which writes the same again."""
        order, head = run.order, head_name(network)
        weights = weights_of(run.model, head)
        about: About = {
            "architecture": architecture_of(order.backbone or self._backbone or DEFAULT, network),
            "pixels": network.about.pixels,
            "mean": network.mean,
            "std": network.std,
            "classes": order.classes,
            "head": head,
            "method": order.method,
            "epoch": run.done,
            "record": dataclasses.asdict(run.records[-1]),
            "pretrained": network.about.tag,
        }
        if run.best == len(run.records) - 1:
            self._checkpoints.write(_key(order, BEST), weights, about)
        state = {f"model/{key}": value for key, value in weights.items()}
        state |= {f"optimizer/{key}": value for key, value in moments_of(run.model, run.optimizer).items()}
        self._checkpoints.write(
            _key(order, LAST),
            state,
            {**position(run), "identity": _identity(order, run.recipe, network), "labels": _labels(order)},
        )

    def _restore(self, run: Run, network: Network, about: About) -> None:
        state = self._checkpoints.read(_key(run.order, LAST))
        fill(run.model, head_name(network), _below(state, "model/"))
        fill_moments(run.model, run.optimizer, _below(state, "optimizer/"))
        run.done, run.records, run.part = about["done"], [Epoch(**record) for record in about["records"]], about["part"]
        log.info("run %s goes on after %d epochs", run.order.run, run.done)


@contextmanager
def _threads(device: torch.device) -> Iterator[None]:
    """Half of the cores on a CPU: OpenMP's threads spin at every layer's barrier, and one that has to wait for a core
    (for the decoders, the web process, a neighbour) holds up all others: 2 threads on 2 busy cores are 6x slower.
    """
    before = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // 2))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _key(order: TrainingOrder, name: str) -> str:
    return f"checkpoints/{order.run}/{name}"


def _below(state: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def _identity(order: TrainingOrder, recipe: Recipe, network: Network) -> str:
    """What a state must have in common with an order to be its own."""
    parts = [order.run, order.method, order.classes, order.seed, repr(recipe), network.about.digest]
    return hashlib.sha256(json.dumps([*parts, network.about.pixels]).encode()).hexdigest()


def _labels(order: TrainingOrder) -> list[list[int]]:
    return [[e.task_id, e.label] for e in (*order.train, *order.held_out) if e.weight == 1]


def _continues(about: About, order: TrainingOrder, recipe: Recipe, network: Network) -> bool:
    """Whether a kept state is of this order: labels may have gone since, none may have come or changed.

    A run's name alone does not tell: a database that was made anew counts its versions from 1 again.
    """
    if about.get("identity") != _identity(order, recipe, network):
        return False
    return {tuple(pair) for pair in _labels(order)} <= {tuple(pair) for pair in about["labels"]}

"""The warm backbone with its loaders: fetch, decode and forward pass overlap, and nothing piles up.

On a CPU the forward pass runs in several lanes of one thread each instead of one lane of several threads: OpenMP
threads spin at every layer's barrier, and beside decoders (or a busy neighbour) that costs 10 to 50x.
"""

from __future__ import annotations

import hashlib
import os
import queue
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from backend.adapters.images.source import ImageSource
from backend.core.domain import Backbone, Embedded, Failed
from backend.core.errors import BadImage, BadSetting, LabelStudioDown
from backend.engine.backbone import DEFAULT, Network, open_backbone
from backend.engine.backbone_fast import choose_device, choose_precision, fold_batchnorm, keep_memory
from backend.engine.decoding.decode import Decode, decode
from backend.engine.pooling import BadPage, GoodPage, Page, Pool, stored

LOADERS = 16  # most of their time is waiting for Label Studio
MAX_LANES = 16
SILENT = 3  # images in a row after which Label Studio counts as away
QUICK_LOAD = 0.002  # seconds of loading that one more loader is worth


@dataclass(frozen=True, slots=True, eq=False)
class _Loaded:
    """A decoded image: rgb (pixels, pixels, 3) uint8."""

    page: Page
    digest: str
    rgb: torch.Tensor


def open_embedder(
    images: ImageSource,
    *,
    backbone: str = DEFAULT,
    pixels: int | None = None,
    device: str = "auto",
    precision: str = "auto",
    batch: int | None = None,
    threads: int | None = None,
    loaders: int = LOADERS,
    decode: Decode = decode,
) -> BatchEmbedder:
    """Load `backbone` (see `open_backbone`) and make it fast here; keep the result, it is warm.

    Parameters
    ----------
    device: "auto", "cpu", "cuda", "cuda:1". precision: "auto", "bf16" or "fp32".
    batch: images per forward pass; None: 256 on CUDA, 16 per lane on a CPU.
    threads: cores for the forward pass on a CPU; None: those this process may use, at most 16.
    loaders: threads that fetch and decode; memory for at most so many encoded images is held.
    decode: how bytes become pixels; `Decoders` for images that may be made to hurt.
    """
    if precision not in ("auto", "bf16", "fp32"):
        raise BadSetting(f"precision is auto, bf16 or fp32, not {precision!r}")
    for name, number in (("batch", batch), ("threads", threads), ("loaders", loaders)):
        if number is not None and number < 1:
            raise BadSetting(f"{name} must be at least 1, not {number}")
    try:
        where = choose_device(device)
        kind = choose_precision(where, precision)
        network = open_backbone(backbone, pixels=pixels)
        keep_memory()
        model = fold_batchnorm(network.model, network.about.pixels)
        model = model.to(where, kind).to(memory_format=torch.channels_last)
    except (RuntimeError, AssertionError) as error:
        raise BadSetting(f"device {device} cannot be used: {str(error).splitlines()[0]}") from error
    lanes = 1 if where.type == "cuda" else min(threads or len(os.sched_getaffinity(0)), MAX_LANES)
    size = batch or (256 if where.type == "cuda" else _lane_batch(network.about.pixels))
    return BatchEmbedder(images, network, model, where, kind, batch=size, lanes=lanes, loaders=loaders, decode=decode)


def _lane_batch(pixels: int) -> int:
    """Images a lane of one core takes at once: 16 at 224 px, more of smaller ones, as each call costs Python's lock."""
    return min(64, max(16, 16 * 224 * 224 // (pixels * pixels)))


class BatchEmbedder:
    """`ports.Embedder`; made by `open_embedder`. One `embed` at a time."""

    def __init__(
        self,
        images: ImageSource,
        network: Network,
        model: torch.nn.Module,
        device: torch.device,
        precision: torch.dtype,
        *,
        batch: int,
        lanes: int,
        loaders: int,
        decode: Decode = decode,
    ) -> None:
        self._images = images
        self._decode = decode
        self._about = network.about
        self._model = model
        self._device = device
        self._precision = precision
        self._batch = batch
        self._lanes = lanes
        side = network.about.pixels  # a whole row at once: broadcasting over the last 3 alone is 10x slower on a CPU
        self._mean = torch.tensor(network.mean, device=device).mul(255).repeat(side).to(precision)  # (side * 3,)
        self._scale = torch.tensor(network.std, device=device).mul(255).reciprocal().repeat(side).to(precision)
        self._loading = ThreadPoolExecutor(loaders, "load", initializer=torch.set_num_threads, initargs=(1,))
        lane_threads = 1 if device.type == "cpu" else torch.get_num_threads()
        self._running = ThreadPoolExecutor(lanes, "lane", initializer=torch.set_num_threads, initargs=(lane_threads,))
        self._loaders = loaders
        self._load_seconds = 0.0  # of one image, moving mean
        self._one_at_a_time = threading.Lock()

    @property
    def backbone(self) -> Backbone:
        """What makes the vectors."""
        return self._about

    @property
    def device(self) -> str:
        """For people: "cuda:0 NVIDIA H100, bf16" or "cpu, fp32, 8 threads"."""
        kind = "bf16" if self._precision == torch.bfloat16 else "fp32"
        if self._device.type == "cuda":
            return f"{self._device} {torch.cuda.get_device_name(self._device)}, {kind}"
        return f"{self._device}, {kind}, {self._lanes} threads"

    def embed(self, items: Iterable[tuple[int, tuple[str, ...]]]) -> Iterator[Embedded | Failed]:
        """Vectors of (task id, references) pairs as they get ready; a bad image stops nothing.

        A task of several images gets one vector of them (see `pooling`), and `Failed` only if none can be read.

        An image that Label Studio does not hand out gives an unanswered `Failed`. Raises `LabelStudioDown` after some
        of these in a row, and `LabelStudioRefused`; what came before is valid.
        Memory: two batches a lane decoded and as many encoded images as there are loaders, however many items come.
        """
        with self._one_at_a_time:
            pool = Pool()
            run = _Run(self, pool.split(items))
            try:
                for result in run.results():
                    yield from pool.join(result)
            finally:
                run.stop()

    def close(self) -> None:
        """End the threads."""
        self._loading.shutdown(cancel_futures=True)
        self._running.shutdown(cancel_futures=True)

    @property
    def _at_once(self) -> int:
        """Images to load at a time: all loaders while they wait for a server, two where a file is read in a wink.

        Idle loaders cost nothing; busy ones take Python's lock from the lanes: on two cores 16 of them cost a third.
        """
        return min(self._loaders, max(2, round(self._load_seconds / QUICK_LOAD)))

    def _load(self, page: Page, ref: str) -> _Loaded | BadPage:
        begun = time.perf_counter()
        try:
            return self._loaded(page, ref)
        finally:
            self._load_seconds += 0.1 * (time.perf_counter() - begun - self._load_seconds)

    def _loaded(self, page: Page, ref: str) -> _Loaded | BadPage:
        try:
            data = self._images.fetch(ref, page.task_id)
            rgb = self._decode(data, self._about.pixels, self._images.max_pixels)
        except BadImage as error:
            return BadPage(page, str(error))
        except LabelStudioDown as error:
            return BadPage(page, str(error), unanswered=True)
        return _Loaded(page, hashlib.sha256(data).hexdigest(), rgb)

    def _forward(self, loaded: list[_Loaded]) -> list[GoodPage | BadPage]:
        try:
            vectors = self._vectors([item.rgb for item in loaded])
        except torch.OutOfMemoryError:
            half = (len(loaded) + 1) // 2
            if half == len(loaded):
                raise
            torch.cuda.empty_cache()
            self._batch = min(self._batch, half)  # the card is shared or small: keep to what fits
            return self._forward(loaded[:half]) + self._forward(loaded[half:])
        return [_checked(item, vectors[row]) for row, item in enumerate(loaded)]

    def _vectors(self, pictures: list[torch.Tensor]) -> NDArray[np.float32]:
        with torch.inference_mode():
            stacked = torch.stack(pictures).to(self._device)  # (n, h, w, 3) uint8
            rows = stacked.flatten(2).to(self._precision)  # (n, h, w * 3)
            scaled = rows.sub_(self._mean).mul_(self._scale).view(stacked.shape).permute(0, 3, 1, 2)  # channels_last
            features: torch.Tensor = self._model(scaled)  # (n, dims)
            return np.asarray(features.float().cpu().numpy(), np.float32)


_Future: TypeAlias = "Future[Any]"  # Any: of loaders and of lanes, whose results differ; told apart by their sets


class _Run:
    """One pass over the items: everything that gets ready lands in one queue."""

    def __init__(self, embedder: BatchEmbedder, items: Iterator[tuple[Page, str]]) -> None:
        self._of = embedder
        self._items = items
        self._done: queue.SimpleQueue[_Future] = queue.SimpleQueue()
        self._loading: set[_Future] = set()
        self._flying: set[_Future] = set()
        self._ready: list[_Loaded] = []
        self._more = True
        self._silent = 0  # images in a row that Label Studio did not hand out

    def results(self) -> Iterator[GoodPage | BadPage]:
        while True:
            self._top_up()
            self._dispatch()
            if not self._loading and not self._flying:
                return
            future = self._done.get()
            if future in self._flying:
                self._flying.discard(future)
                self._dispatch()  # before the caller gets the results: it may be slow
                yield from future.result()
                continue
            self._loading.discard(future)
            loaded = future.result()
            self._silent = self._silent + 1 if isinstance(loaded, BadPage) and loaded.unanswered else 0
            if isinstance(loaded, BadPage):
                yield loaded
            else:
                self._ready.append(loaded)
            if isinstance(loaded, BadPage) and self._silent == SILENT:
                raise LabelStudioDown(loaded.reason)

    def _top_up(self) -> None:
        """Keep the loaders busy while fewer images wait than the lanes take next."""
        of = self._of
        at_once = of._at_once
        room = at_once + of._lanes * of._batch
        while self._more and len(self._loading) < at_once and len(self._loading) + len(self._ready) < room:
            item = next(self._items, None)
            if item is None:
                self._more = False
                return
            self._start(self._loading, of._loading.submit(of._load, *item))

    def _dispatch(self) -> None:
        """Hand full batches to free lanes, one waiting behind each; the rest when nothing more comes."""
        of = self._of
        while self._ready and len(self._flying) < 2 * of._lanes:
            if len(self._ready) < of._batch and (self._more or self._loading):
                return
            part, self._ready = self._ready[: of._batch], self._ready[of._batch :]
            self._start(self._flying, of._running.submit(of._forward, part))

    def _start(self, group: set[_Future], future: _Future) -> None:
        group.add(future)
        future.add_done_callback(self._done.put)

    def stop(self) -> None:
        """Leave nothing behind that would run into the next pass."""
        for future in (*self._loading, *self._flying):
            future.cancel()
        for future in (*self._loading, *self._flying):
            if not future.cancelled():
                future.exception()


def _checked(item: _Loaded, vector: NDArray[np.float32]) -> GoodPage | BadPage:
    if not np.isfinite(stored(vector)).all():
        return BadPage(item.page, "the backbone gives values that are not finite for this image; try precision fp32")
    return GoodPage(item.page, vector, item.digest)

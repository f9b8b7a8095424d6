"""Images for training: decoded once as the embedder decodes them, kept as bytes, augmented a batch at a time."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import torch
from torchvision.transforms import v2

from backend.core.domain.training import Example
from backend.core.errors import BadImage
from backend.engine.decoding.decode import Decode, decode

log = logging.getLogger(__name__)
LOADERS = 16  # most of their time is waiting for Label Studio
PART = 256  # images that are decoded before those that do not fit are let go
CACHE_BYTES = 2 << 30


class Images(Protocol):
    """Of `ImageSource`, what training needs."""

    max_pixels: int

    def fetch(self, ref: str, task_id: int) -> bytes:
        """The bytes behind a reference of a task; raises `BadImage`."""
        ...


class Pictures:
    """The readable ones of some examples, in their order; uint8 in memory up to a limit, decoded again above it.

    Bad images are left out with a line in the log. Raises what `ImageSource.fetch` raises when Label Studio is away.
    Memory: `limit` bytes. Cost: one fetch and decode an image, in 16 threads.
    """

    def __init__(
        self,
        images: Images,
        examples: Sequence[Example],
        pixels: int,
        limit: int = CACHE_BYTES,
        decode: Decode = decode,
    ) -> None:
        self._images = images
        self._decode_one = decode
        self._pixels = pixels
        room = min(len(examples), limit // (3 * pixels * pixels))
        self._kept = torch.empty((room, pixels, pixels, 3), dtype=torch.uint8)
        good: list[Example] = []
        for start in range(0, len(examples), PART):
            part = examples[start : start + PART]
            for example, rgb in zip(part, self._decode(part), strict=True):
                if rgb is None:
                    continue
                if len(good) < room:
                    self._kept[len(good)] = rgb
                good.append(example)
        self.examples = tuple(good)
        self.labels = torch.tensor([example.label for example in good], dtype=torch.int64)  # (n,)
        self.weights = torch.tensor([example.weight for example in good], dtype=torch.float32)  # (n,)

    def __len__(self) -> int:
        return len(self.examples)

    def batch(self, rows: torch.Tensor) -> torch.Tensor:
        """Images (k, pixels, pixels, 3) uint8; one that could be read at first and no longer can is black."""
        room = len(self._kept)
        if len(self.examples) <= room:
            return self._kept[rows]
        chosen = torch.zeros((len(rows), *self._kept.shape[1:]), dtype=torch.uint8)
        inside = rows < room
        chosen[inside] = self._kept[rows[inside]]
        outside = torch.nonzero(~inside).flatten().tolist()
        for place, rgb in zip(outside, self._decode([self.examples[rows[p]] for p in outside]), strict=True):
            if rgb is not None:
                chosen[place] = rgb
        return chosen

    def _decode(self, examples: Sequence[Example]) -> list[torch.Tensor | None]:
        with ThreadPoolExecutor(LOADERS, "train-load") as pool:
            return list(pool.map(self._load, examples))

    def _load(self, example: Example) -> torch.Tensor | None:
        try:
            return self._decode_one(
                self._images.fetch(example.image, example.task_id), self._pixels, self._images.max_pixels
            )
        except BadImage as error:
            log.warning("task %d is not trained on: %s", example.task_id, error)
            return None


class Augment:
    """Random resized crops and flips of a whole batch in one resampling, on whatever device it is.

    torchvision's transforms crop a batch in one place; one call an image costs as much as a small network's forward
    pass. Here torchvision draws the crop of each image, and one bilinear resampling makes them all. A crop is never
    larger than the output, so nothing is lost without antialiasing. Draws from torch's global generator, as torchvision
    does: the caller seeds and restores it.
    """

    def __init__(self, pixels: int, crop: tuple[float, float], flip: float) -> None:
        self._pixels = pixels
        self._crop = v2.RandomResizedCrop(pixels, scale=crop)
        self._flip = flip
        self._canvas = [torch.empty((3, pixels, pixels), device="meta")]

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """(n, 3, p, p) float -> the same shape."""
        grid = torch.nn.functional.affine_grid(
            self._places(len(images)).to(images.device), list(images.shape), align_corners=False
        )
        return torch.nn.functional.grid_sample(
            images, grid.to(images.dtype), mode="bilinear", padding_mode="border", align_corners=False
        )

    def _places(self, n: int) -> torch.Tensor:
        """Maps (n, 2, 3) from an output's coordinates to its image's, both -1..1."""
        drawn = [self._crop.make_params(self._canvas) for _ in range(n)]
        box = torch.tensor([(d["left"], d["top"], d["width"], d["height"]) for d in drawn], dtype=torch.float32)
        box /= self._pixels  # (n, 4)
        mirror = torch.where(torch.rand(n) < self._flip, -1.0, 1.0)
        maps = torch.zeros((n, 2, 3))
        maps[:, 0, 0] = box[:, 2] * mirror
        maps[:, 1, 1] = box[:, 3]
        maps[:, 0, 2] = 2 * box[:, 0] + box[:, 2] - 1
        maps[:, 1, 2] = 2 * box[:, 1] + box[:, 3] - 1
        return maps


class Normalise:
    """(n, p, p, 3) uint8 -> (n, 3, p, p) float32 on the device, scaled as the backbone was trained."""

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> None:
        self._device = device
        self._mean = torch.tensor(mean, device=device).mul(255)[:, None, None]  # (3, 1, 1)
        self._scale = torch.tensor(std, device=device).mul(255).reciprocal()[:, None, None]

    def __call__(self, rgb: torch.Tensor) -> torch.Tensor:
        planes = rgb.to(self._device, non_blocking=True).permute(0, 3, 1, 2).float()
        return planes.sub_(self._mean).mul_(self._scale)

"""The handwritten digits that scikit-learn ships, drawn as PNG files: real images that need no network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def digits(folder: Path, n: int = 300, *, pixels: int = 128, start: int = 0) -> list[Path]:
    """Draw digits `start .. start+n` (of 1,797) into `folder` as `<number>_<label>.png`; returns their paths in order.

    Files that exist are kept, so a second call is cheap. About 1 ms an image.
    """
    from sklearn.datasets import load_digits  # late: scikit-learn takes a second to load

    bunch = load_digits()
    if start + n > len(bunch.images):
        raise ValueError(f"scikit-learn ships {len(bunch.images)} digits; asked for {start} to {start + n}")
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(start, start + n):
        path = folder / f"{number:04d}_{bunch.target[number]}.png"
        if not path.exists():
            ink = (255 - bunch.images[number] * (255 / 16)).astype(np.uint8)  # (8, 8), 0..16 -> black on white
            page = np.pad(ink, 1, constant_values=255)  # (8, 8) -> (10, 10): strokes touch the border
            Image.fromarray(page).resize((pixels, pixels), Image.Resampling.BICUBIC).save(path)
        paths.append(path)
    return paths


def label_of(path: str | Path) -> str:
    """The true label of a drawn digit, read from its file name (also from a URL that ends with it)."""
    return Path(str(path)).stem.rsplit("_", 1)[1]

"""A folder of images with one sub-folder a class, as features: embedded once, then kept in a cache."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from backend.adapters.images.formats import SUFFIXES
from backend.adapters.images.source import ImageSource
from backend.core.domain import Embedded, Failed, FeatureTable
from backend.core.errors import UserError
from backend.core.ports import Embedder

NO_SERVER = "http://127.0.0.1:9"  # discard: nothing is ever asked for over the network


@dataclass(frozen=True, slots=True, eq=False)
class Folder:
    """Images of a folder in the order of their paths; labels (n,) are places in `classes`."""

    root: Path
    paths: tuple[Path, ...]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]

    @property
    def references(self) -> list[str]:
        """What `ImageSource(local_root=root)` reads each image by."""
        return [reference(path.relative_to(self.root)) for path in self.paths]

    @property
    def digest(self) -> str:
        """Of the images' names and bytes; reads all of them."""
        whole = hashlib.sha256()
        for path in self.paths:
            whole.update(f"\n{path.relative_to(self.root)}\n".encode() + hashlib.sha256(path.read_bytes()).digest())
        return whole.hexdigest()


def reference(path: Path) -> str:
    """Label Studio's form of a path below the folder of local files."""
    return "/data/local-files/?d=" + quote(str(path))


def read_folder(root: Path) -> Folder:
    """The images of CLASS/.../IMAGE below `root`. Raises `UserError` if there are fewer than two classes."""
    root = root.resolve()
    found = {
        folder.name: sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        for folder in sorted(root.iterdir())
        if folder.is_dir() and not folder.name.startswith(".")
    }
    classes = tuple(name for name, paths in found.items() if paths)
    if len(classes) < 2:
        raise UserError(
            f"{root} holds images of {len(classes)} classes; name a folder with one sub-folder of images for each class"
        )
    paths = [path for name in classes for path in found[name]]
    labels = np.repeat(np.arange(len(classes)), [len(found[name]) for name in classes])
    return Folder(root, tuple(paths), labels.astype(np.int64), classes)


def folder_features(
    folder: Folder, embedder: Embedder, cache: Path, *, progress: Callable[[int, int], None] = lambda done, total: None
) -> tuple[Folder, FeatureTable, list[tuple[Path, str]]]:
    """(the images that could be read, their features by row, what could not be read with the reason).

    Kept in `cache` under a digest of the files' names and bytes and the backbone: a changed image or another backbone
    is embedded anew. `embedder` reads below `folder.root`.
    """
    key = hashlib.sha256(f"{embedder.backbone.tag} {folder.digest}".encode())
    stored = cache / f"{key.hexdigest()[:32]}.npz"
    if stored.exists():
        with np.load(stored) as kept:
            rows, vectors, reasons = kept["rows"], kept["vectors"], kept["reasons"].tolist()
    else:
        rows, vectors, reasons = _embed(folder.references, embedder, progress)
        cache.mkdir(parents=True, exist_ok=True)
        part = stored.with_suffix(f".{uuid4().hex}.part.npz")  # two runs may write the same at once
        np.savez(part, rows=rows, vectors=vectors, reasons=np.array(reasons, np.str_))
        part.replace(stored)  # a killed run leaves no half file under the name that is looked for
    bad = np.setdiff1d(np.arange(len(folder.paths)), rows)
    failed = [(folder.paths[row], reason) for row, reason in zip(bad, reasons, strict=True)]
    good = Folder(folder.root, tuple(folder.paths[row] for row in rows), folder.labels[rows], folder.classes)
    return good, FeatureTable(np.arange(len(rows)), vectors), failed


def open_images(root: Path, *, max_bytes: int, max_pixels: int) -> ImageSource:
    """Images below `root`; nothing is asked for over the network."""
    return ImageSource(
        label_studio_url=NO_SERVER,
        auth_headers=dict,
        local_root=root,
        max_bytes=max_bytes,
        max_pixels=max_pixels,
    )


def embed_all(
    references: Sequence[str], embedder: Embedder, *, progress: Callable[[int, int], None]
) -> NDArray[np.float16]:
    """Features (n, d) of images that can all be read. Raises `UserError` naming the first that cannot by now."""
    rows, vectors, reasons = _embed(references, embedder, progress)
    if len(rows) < len(references):
        raise UserError(f"an image that could be read before cannot be read now: {reasons[0]}")
    return vectors


def _embed(
    references: Sequence[str], embedder: Embedder, progress: Callable[[int, int], None]
) -> tuple[NDArray[np.int64], NDArray[np.float16], list[str]]:
    """(rows embedded, ascending; their vectors; reasons of the other rows, ascending)."""
    good: dict[int, Embedded] = {}
    bad: dict[int, Failed] = {}
    for done, item in enumerate(embedder.embed((row, (ref,)) for row, ref in enumerate(references)), 1):
        if isinstance(item, Failed):
            bad[item.task_id] = item
        else:
            good[item.task_id] = item
        progress(done, len(references))
    rows = sorted(good)
    if not rows:
        raise UserError(f"none of the {len(references)} images can be read: {next(iter(bad.values())).reason}")
    vectors = np.stack([good[row].vector for row in rows])
    return np.array(rows, np.int64), vectors, [bad[row].reason for row in sorted(bad)]

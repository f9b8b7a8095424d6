"""Where fine-tuned weights and the state of a training under way are kept: safetensors files that change at once.

    <storage>/checkpoints/<run>/last.safetensors   weights, best weights' place in the run, optimizer, records
    <storage>/checkpoints/<run>/best.safetensors   weights as timm names them, the classifier among them

Everything that is not a tensor is JSON in the file's header, so that one rename switches all of it; nothing is pickled.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import safetensors
import safetensors.torch
import torch
from platformdirs import user_cache_path

from backend.core.errors import BackboneError, StorageError
from backend.core.text.masking import mask_text, mask_url

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

BEST, LAST = "best.safetensors", "last.safetensors"
ABANDONED_SECONDS = 3600  # since its last write; younger files may be another writer's
ENTRY = "labelqueue"  # of the header; safetensors allows strings only


class About(TypedDict, total=False):
    """The JSON in a checkpoint's header: of the best weights what they are, of the last state where the run stands."""

    architecture: str
    pixels: int
    mean: Sequence[float]
    std: Sequence[float]
    classes: Sequence[str]
    head: str
    method: str
    epoch: int
    record: dict[str, float]  # as `training.Epoch`
    pretrained: str
    done: int
    records: list[dict[str, float]]
    part: int
    identity: str
    labels: list[list[int]]


@dataclass(frozen=True, slots=True)
class Kept:
    """A checkpoint on this machine and what made it.

    backbone : what `open_backbone` takes; head : name of the classifier's tensors in the file.
    """

    path: Path
    backbone: str
    pixels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: tuple[str, ...]
    head: str


class Checkpoints:
    """Files below `storage_url`: a local folder, or a URL of an object store that pyarrow knows (s3://, gs://, abfss://).

    Credentials of object stores come from their usual environment variables. What is read from one is copied to
    `cache` first (by default in the user's cache folder, ~/.cache/labelqueue).
    """

    def __init__(self, storage_url: str, *, cache: Path | None = None) -> None:
        self._remote: FileSystem | None = None
        self._root = storage_url.rstrip("/")
        if "://" not in storage_url:
            self._root = str(Path(storage_url).expanduser().absolute())
        elif storage_url.startswith("file://"):
            self._root = self._root.removeprefix("file://")
        else:
            self._remote, self._root = _open_remote(storage_url)
        self._cache = cache or user_cache_path("labelqueue")

    def write(self, key: str, tensors: Mapping[str, torch.Tensor], about: About) -> None:
        """Keep tensors and JSON under `key`; readers see the old file or the new one. Raises `StorageError`."""
        content = safetensors.torch.save(dict(tensors), {ENTRY: json.dumps(about)})
        place = f"{self._root}/{key}"
        try:
            if self._remote is None:
                _replace(Path(place), content)
            else:
                with self._remote.open_output_stream(place) as stream:  # an object appears when it is complete
                    stream.write(content)
        except OSError as error:
            raise StorageError(f"the checkpoint {key} cannot be kept: {error}; is the storage full or away?") from error

    def about(self, key: str) -> About | None:
        """The JSON of a checkpoint; None if there is none. On a folder only the header is read."""
        path = self._local(key)
        return None if path is None else _read_about(path)

    def read(self, key: str) -> dict[str, torch.Tensor]:
        """The tensors. Raises `StorageError` if there is none or it is broken."""
        path = self._local(key)
        if path is None:
            raise StorageError(f"there is no checkpoint {key}")
        try:
            return dict(safetensors.torch.load_file(path))
        except (OSError, safetensors.SafetensorError) as error:
            raise StorageError(f"{path} cannot be read: {error}; delete it, and its training begins anew") from error

    def delete(self, key: str) -> None:
        """Delete a checkpoint if it is there."""
        if self._remote is None:
            Path(self._root, key).unlink(missing_ok=True)
        elif self._size(self._remote, key) is not None:
            self._remote.delete_file(f"{self._root}/{key}")

    def resolve(self, key: str) -> Kept:
        """The fine-tuned weights as a file on this machine. Raises `BackboneError` if they are gone."""
        path = self._local(key)
        if path is None:
            raise BackboneError(
                f"the fine-tuned weights {key} are gone from {mask_url(self._root)}; roll back, or renew again"
            )
        about = _read_about(path)
        return Kept(
            path=path,
            backbone=f"{about['architecture']}:{path}",
            pixels=int(about["pixels"]),
            mean=tuple(about["mean"]),
            std=tuple(about["std"]),
            classes=tuple(about["classes"]),
            head=about["head"],
        )

    def _local(self, key: str) -> Path | None:
        """The file, copied here first if it is in an object store; None if there is none."""
        if self._remote is None:
            path = Path(self._root, key)
            return path if path.is_file() else None
        version = self._size(self._remote, key)
        if version is None:
            return None
        place = f"{self._root}/{key}"
        mark = hashlib.sha256(f"{place} {version}".encode()).hexdigest()[:16]
        copy = self._cache / mark / Path(key).name
        if not copy.exists():
            try:
                with self._remote.open_input_file(place) as stream:
                    _replace(copy, stream.read())
            except OSError as error:
                raise StorageError(f"the checkpoint {key} cannot be copied to {copy}: {error}") from error
        return copy

    def _size(self, remote: FileSystem, key: str) -> str | None:
        """Size and time of an object, which tell its versions apart; None if it is not there."""
        try:
            found = remote.get_file_info(f"{self._root}/{key}")
        except OSError as error:
            raise StorageError(f"the storage does not answer for {key}: {error}") from error
        return f"{found.size} {found.mtime_ns}" if found.is_file else None


def _open_remote(url: str) -> tuple[FileSystem, str]:
    import pyarrow.fs

    if url.startswith("az://"):
        raise StorageError(
            "fine-tuned weights cannot be kept under an az:// address, which does not name the account; give the same "
            "place as STORAGE_URL=abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/FOLDER: the features there stay valid"
        )
    try:
        system, root = pyarrow.fs.FileSystem.from_uri(url)
    except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors and OSErrors
        raise StorageError(
            f"checkpoints cannot be kept at {url.partition('://')[0]}://: {mask_text(str(error))}; "
            "use a folder, s3://, gs:// or abfss:// as STORAGE_URL"
        ) from error
    return system, root.rstrip("/")


def _replace(path: Path, content: bytes) -> None:
    """Write beside, flush to the disk, rename: whenever the process or the machine dies, one whole file is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, suffix=".part", delete=False) as file:
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
    for part in path.parent.glob(f"{glob.escape(path.name)}*.part"):  # of workers that were killed while they wrote
        with suppress(FileNotFoundError):  # another one tidies as well
            if time.time() - part.stat().st_mtime > ABANDONED_SECONDS:
                part.unlink()


def _read_about(path: Path) -> About:
    try:
        with safetensors.safe_open(path, "pt") as file:
            about: About = json.loads((file.metadata() or {}).get(ENTRY, "{}"))
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise StorageError(f"{path} cannot be read: {error}; delete it, and its training begins anew") from error
    return about

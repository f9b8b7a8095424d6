"""Features and guesses in Lance datasets: one per project and feature version, in a folder or an object store.

A process that has used this must not fork afterwards (Lance runs threads); spawn instead. Importing it is cheap enough
for the web process and does not bring torch.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

import lance
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from backend.adapters.disk import ROOM
from backend.adapters.features.table import GrowingTable, read_ids
from backend.core.domain import FeatureBatch, FeatureTable, Guess, Guesses
from backend.core.errors import StorageError
from backend.core.text.masking import mask_text, mask_url

FRAGMENT_ROWS = 16384  # compaction leaves fragments of this size alone, so that each row is rewritten a few times only
KEEP_OLD = timedelta(minutes=15)  # versions younger than this stay: someone may be reading them
TRIES = 12
DELETE_IDS = 10_000
JITTER = random.SystemRandom()
FULL = ("No space left on device", "Disk quota exceeded")
CURE = (
    "check STORAGE_URL and its rights; if that folder is damaged, restore it from a backup, or disconnect the project "
    "and connect it again: its images are embedded anew"
)
REMOTE_CURE = "check STORAGE_URL, that its bucket exists, and its rights"
T = TypeVar("T")


class LanceFeatures:
    """`ports.FeatureStore` below `storage_url`: a local folder, or a URL that Lance knows (s3://, gs://, abfss://).

    Credentials of object stores come from their usual environment variables (AWS_ACCESS_KEY_ID, AWS_ENDPOINT, ...).
    `cache_bytes` bounds the tables that `load` keeps; the latest used one is always kept. Safe for threads.
    """

    def __init__(self, storage_url: str, *, cache_bytes: int = 4 << 30) -> None:
        self._url = storage_url.rstrip("/")
        if "://" not in storage_url:
            self._url = str(Path(storage_url).expanduser().absolute())
        self._cache_bytes = cache_bytes
        self._tables: OrderedDict[str, GrowingTable] = OrderedDict()
        self._guesses: dict[int, tuple[str, Guesses]] = {}
        self._lock = threading.RLock()

    def append(self, project: int, version: int, batch: FeatureBatch) -> None:
        """Add rows in one transaction: all of them or none, whenever the process dies. About 3 ms on a local disk."""
        n = len(batch.task_ids)
        if batch.vectors.ndim != 2 or len(batch.vectors) != n or len(batch.digests) != n:
            raise ValueError(f"{n} ids, vectors {batch.vectors.shape}, {len(batch.digests)} digests do not match")
        if not n:
            return
        dims = batch.vectors.shape[1]
        flat = np.ascontiguousarray(batch.vectors, np.float16).reshape(-1)
        columns = {
            "task_id": pa.array(np.asarray(batch.task_ids, np.int64)),
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(flat), dims),
            "digest": pa.array(list(batch.digests), pa.string()),
        }
        uri = self._features(project, version)

        def write() -> None:
            if _open(uri) is None:
                _create(uri, pa.table(columns).schema)
            lance.write_dataset(pa.table(columns), uri, mode="append")

        with self._errors("append features", uri):
            _retry(write)

    def present(self, project: int, version: int, task_ids: Sequence[int]) -> set[int]:
        """Those of `task_ids` that have features."""
        uri = self._features(project, version)
        with self._errors("read features", uri):
            dataset = _open(uri)
            if dataset is None or not len(task_ids):
                return set()
            wanted = np.asarray(list(task_ids), np.int64)
            return {int(i) for i in wanted[np.isin(wanted, read_ids(dataset))]}

    def ids(self, project: int, version: int) -> NDArray[np.int64]:
        """Tasks that have features, ascending and distinct: 8 bytes a row are read."""
        uri = self._features(project, version)
        with self._errors("read features", uri):
            dataset = _open(uri)
            return np.zeros(0, np.int64) if dataset is None else np.unique(read_ids(dataset))

    def load(self, project: int, version: int) -> FeatureTable:
        """All rows, ids ascending, of a task that was stored twice the latest; (0,) and (0, 0) if there are none.

        The arrays are read-only and shared between callers. An append costs the next call its rows only; a removal or
        a compaction a full read (1M x 384 about 0.5 s from the page cache).
        """
        uri = self._features(project, version)
        with self._lock, self._errors("read features", uri):
            table = self._tables.setdefault(uri, GrowingTable())
            self._tables.move_to_end(uri)
            try:
                return _retry(lambda: _read(table, uri))
            finally:
                while len(self._tables) > 1 and sum(t.nbytes for t in self._tables.values()) > self._cache_bytes:
                    self._tables.popitem(last=False)

    def remove(self, project: int, version: int, task_ids: Sequence[int]) -> None:
        """Delete the rows of these tasks; those that have none are skipped."""
        uri = self._features(project, version)
        with self._errors("delete features", uri):
            for start in range(0, len(task_ids), DELETE_IDS):
                ids = ",".join(str(int(i)) for i in task_ids[start : start + DELETE_IDS])
                _retry(partial(_delete, uri, f"task_id IN ({ids})"))

    def optimize(self, project: int, version: int) -> None:
        """Join small fragments and drop versions older than a quarter of an hour.

        Every append leaves a fragment and a manifest that names all fragments: call it every hundred appends or so.
        """
        uri = self._features(project, version)
        with self._errors("optimize features", uri):
            dataset = _open(uri)
            if dataset is None:
                return
            try:
                dataset.optimize.compact_files(target_rows_per_fragment=FRAGMENT_ROWS)
                dataset.cleanup_old_versions(older_than=KEEP_OLD)
            except OSError as error:
                if not _conflict(error):  # someone else compacts or deletes: the next call will do
                    raise

    def write_guesses(self, project: int, guesses: Guesses) -> None:
        """Replace the project's guesses in one transaction."""
        order = np.argsort(guesses.task_ids, kind="stable")
        columns = {
            "task_id": pa.array(np.asarray(guesses.task_ids, np.int64)[order]),
            "class": pa.array(np.asarray(guesses.classes, np.int32)[order]),
            "confidence": pa.array(np.asarray(guesses.confidence, np.float32)[order]),
        }
        if guesses.present is not None:
            packed = np.packbits(guesses.present[order], axis=1)  # (n, c) -> (n, bytes)
            buffers = [None, pa.py_buffer(packed.tobytes())]
            columns["present"] = pa.Array.from_buffers(pa.binary(packed.shape[1]), len(packed), buffers)
        about = {"names": json.dumps(list(guesses.names)), "head": str(guesses.head)}
        uri = self._guessed(project)
        with self._errors("write guesses", uri):
            table = pa.table(columns).replace_schema_metadata(about)
            dataset = _retry(
                lambda: lance.write_dataset(table, uri, mode="create" if _open(uri) is None else "overwrite")
            )
            dataset.cleanup_old_versions(older_than=KEEP_OLD)

    def read_guesses(self, project: int, task_ids: Sequence[int]) -> dict[int, Guess]:
        """Guesses of those of `task_ids` that have one; about a millisecond while nothing changed."""
        with self._lock, self._errors("read guesses", self._guessed(project)):
            guesses = _retry(lambda: self._latest_guesses(project))
        if guesses is None or not len(guesses.task_ids) or not len(task_ids):
            return {}
        wanted = np.asarray(list(task_ids), np.int64)
        places = np.minimum(np.searchsorted(guesses.task_ids, wanted), len(guesses.task_ids) - 1)
        return {
            int(task): guesses.at(at) for task, at in zip(wanted, places, strict=True) if guesses.task_ids[at] == task
        }

    def clear(self, project: int, version: int) -> None:
        """Delete all features of this version; none is no error."""
        self._drop(self._features(project, version))

    def clear_guesses(self, project: int) -> None:
        """Delete the project's guesses; none is no error."""
        with self._lock:
            self._guesses.pop(project, None)
        self._drop(self._guessed(project))

    def _drop(self, uri: str) -> None:
        with self._lock, self._errors("delete features", uri):
            self._tables.pop(uri, None)
            try:
                if _open(uri) is not None:
                    lance.LanceDataset.drop(uri)
            except (OSError, ValueError):
                if "://" in uri:
                    raise
                shutil.rmtree(uri)  # damaged, so that Lance refuses

    def _latest_guesses(self, project: int) -> Guesses | None:
        dataset = _open(self._guessed(project))
        if dataset is None:
            return None
        mark = " ".join(f.metadata.files[0].path for f in dataset.get_fragments()) + f" {dataset.version}"
        if project in self._guesses and self._guesses[project][0] == mark:
            return self._guesses[project][1]
        about = {key.decode(): value.decode() for key, value in (dataset.schema.metadata or {}).items()}
        rows = dataset.scanner(scan_in_order=True).to_table()
        names = tuple(json.loads(about["names"]))
        read = Guesses(
            head=int(about["head"]),
            names=names,
            task_ids=rows.column("task_id").to_numpy(),
            classes=rows.column("class").to_numpy(),
            confidence=rows.column("confidence").to_numpy(),
            present=_bits(rows.column("present"), len(names)) if "present" in rows.column_names else None,
        )
        self._guesses[project] = (mark, read)
        return read

    def _features(self, project: int, version: int) -> str:
        return f"{self._url}/p{project}/features-v{version}.lance"

    def _guessed(self, project: int) -> str:
        return f"{self._url}/p{project}/guesses.lance"

    @contextmanager
    def _errors(self, doing: str, uri: str) -> Iterator[None]:
        try:
            yield
        except (OSError, RuntimeError, ValueError) as error:
            fact = re.split(r", /(?:home|rustc)/", str(error))[0].splitlines()[0]  # Lance's builder's source path
            told, cure = mask_text(fact)[:300], REMOTE_CURE if "://" in uri else CURE
            if any(sign in str(error) for sign in FULL):
                told, cure = "its disk is full", ROOM
            elif "NoSuchBucket" in str(error):
                told = "there is no such bucket"
            raise StorageError(f"cannot {doing} in {mask_url(uri)}: {told}; {cure}") from error


def _read(table: GrowingTable, uri: str) -> FeatureTable:
    dataset = _open(uri)
    if dataset is None:
        return FeatureTable(np.empty(0, np.int64), np.empty((0, 0), np.float16))
    return table.update(dataset)


def _create(uri: str, schema: pa.Schema) -> None:
    """An empty dataset, or an error if there is one by now.

    Lance's own mode "create" does not keep two processes apart: the slower one is rebased to an overwrite, and the rows
    of the faster are lost. A commit on version 0 without retries is an atomic "create if absent".
    """
    empty = lance.LanceOperation.Overwrite(schema, [])
    lance.LanceDataset.commit(uri, empty, read_version=0, max_retries=0)


def _delete(uri: str, predicate: str) -> None:
    dataset = _open(uri)
    if dataset is not None:
        dataset.delete(predicate)


def _open(uri: str) -> lance.LanceDataset | None:
    """The dataset's newest version, or None if there is no dataset. Raises OSError if there is one without a version.

    The first version is written before any row is, so that rows without one are what is left of a damaged dataset.
    In an object store that is not looked for.
    """
    if "://" not in uri and not any(Path(uri, "_versions").glob("*.manifest")):
        if any(Path(uri, "data").glob("*")):
            raise FileNotFoundError("its manifests (_versions) were not found, though rows are there")
        return None
    try:
        return lance.dataset(uri)
    except ValueError as error:
        if "was not found" in str(error):
            return None
        raise


def _retry(action: Callable[[], T]) -> T:
    """Repeat `action` while other writers get in its way; the last error goes to the caller."""
    for attempt in range(TRIES):
        try:
            return action()
        except (OSError, ValueError) as error:
            if attempt == TRIES - 1 or not (_conflict(error) or _vanished(error)):
                raise
        time.sleep(JITTER.uniform(0, 0.02 * 2 ** min(attempt, 5)))
    raise AssertionError("unreachable")


def _conflict(error: Exception) -> bool:
    text = str(error).lower()
    return "conflict" in text or "already exists" in text or "concurrent" in text


def _vanished(error: Exception) -> bool:
    """A version that was cleaned away, or a dataset that was dropped, while it was being read."""
    return "not found" in str(error).lower()


def _bits(packed: pa.ChunkedArray, width: int) -> NDArray[np.bool_]:
    """What was packed eight to a byte: (n, width) bool."""
    whole = b"".join(packed.to_pylist())
    rows = np.frombuffer(whole, np.uint8).reshape(len(packed), -1)
    return np.unpackbits(rows, axis=1, count=width).astype(bool)

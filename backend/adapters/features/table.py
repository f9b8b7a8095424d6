"""The rows of a Lance dataset as two numpy arrays that grow with it: only new fragments are read."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from lance import LanceDataset, LanceFragment
from numpy.typing import NDArray

from backend.core.domain import FeatureTable

SCAN_ROWS = 8192  # rows a read hands over at once: bounds what is held beside the table itself


class GrowingTable:
    """Task ids ascending and distinct with their vectors; not safe for threads.

    What `update` returned stays valid and unchanged: rows are added behind it in the same buffer, and anything else
    makes a new buffer. A cold read of n rows copies every vector once.
    """

    def __init__(self) -> None:
        self._fragments: list[tuple[str, int]] = []
        self._ids: NDArray[np.int64] = np.empty(0, np.int64)
        self._vectors: NDArray[np.float16] = np.empty((0, 0), np.float16)
        self._rows = 0

    @property
    def nbytes(self) -> int:
        """Bytes of the rows that are held."""
        return int(self._ids[: self._rows].nbytes + self._vectors[: self._rows].nbytes)

    def update(self, dataset: LanceDataset) -> FeatureTable:
        """Catch up with `dataset` (an open lance.LanceDataset).

        Fragments only ever get added, except by deletions and compaction; after those everything is read again.
        """
        fragments = dataset.get_fragments()
        marks = [_mark(fragment) for fragment in fragments]
        known = len(self._fragments)
        if marks[:known] != self._fragments:
            self._fragments, self._rows, known = [], 0, 0
            self._ids, self._vectors = np.empty(0, np.int64), np.empty((0, 0), np.float16)
        if len(marks) > known:
            self._add(dataset, fragments[known:])
            self._fragments = marks
        return self._view()

    def _view(self) -> FeatureTable:
        ids, vectors = self._ids[: self._rows], self._vectors[: self._rows]
        ids.flags.writeable = vectors.flags.writeable = False
        return FeatureTable(ids, vectors)

    def _add(self, dataset: LanceDataset, fragments: list[LanceFragment]) -> None:
        found = read_ids(dataset, fragments)
        old = self._ids[: self._rows]
        if not len(found):
            return
        fresh = np.unique(found)
        dims = dataset.schema.field("vector").type.list_size
        if len(old) and fresh[0] <= old[-1]:
            merged = np.union1d(old, fresh)
            ids, vectors = _room(len(merged), dims)
            ids[: len(merged)] = merged
            vectors[np.searchsorted(merged, old)] = self._vectors[: self._rows]
        else:
            merged, ids, vectors = self._append(fresh, dims)
        places = np.searchsorted(merged, found)  # a task that comes twice is written twice: the last wins
        at = 0
        for part in read_vectors(dataset, fragments, dims):
            vectors[places[at : at + len(part)]] = part
            at += len(part)
        self._ids, self._vectors, self._rows = ids, vectors, len(merged)

    def _append(
        self, fresh: NDArray[np.int64], dims: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float16]]:
        """Room for ids that all lie behind the known ones: (all ids, id buffer, vector buffer)."""
        total = self._rows + len(fresh)
        ids, vectors = self._ids, self._vectors
        if total > len(ids):
            ids, vectors = _room(total, dims)
            ids[: self._rows] = self._ids[: self._rows]
            if self._rows:
                vectors[: self._rows] = self._vectors[: self._rows]
        ids[self._rows : total] = fresh
        return ids[:total], ids, vectors


def read_ids(dataset: LanceDataset, fragments: list[LanceFragment] | None = None) -> NDArray[np.int64]:
    """Task ids in the order of the rows, of all or of some fragments."""
    table = dataset.scanner(columns=["task_id"], fragments=fragments, scan_in_order=True).to_table()
    return np.asarray(table.column("task_id").to_numpy(), np.int64)


def read_vectors(dataset: LanceDataset, fragments: list[LanceFragment], dims: int) -> Iterator[NDArray[np.float16]]:
    """Vectors (m, dims) part by part, in the order of the rows, without a copy."""
    scanner = dataset.scanner(columns=["vector"], fragments=fragments, batch_size=SCAN_ROWS, scan_in_order=True)
    for batch in scanner.to_batches():
        flat = batch.column(0).flatten().to_numpy(zero_copy_only=True)  # (m * dims,)
        yield flat.reshape(-1, dims)


def _room(rows: int, dims: int) -> tuple[NDArray[np.int64], NDArray[np.float16]]:
    """Buffers with a quarter to spare; the system gives the pages only when they are written."""
    space = rows + rows // 4 + 256
    return np.empty(space, np.int64), np.empty((space, dims), np.float16)


def _mark(fragment: LanceFragment) -> tuple[str, int]:
    """What tells a fragment's content: its file has a unique name, and rows only ever get deleted."""
    return str(fragment.metadata.files[0].path), int(fragment.num_deletions)

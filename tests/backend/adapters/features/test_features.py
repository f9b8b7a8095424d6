"""The feature store keeps whole batches, gives each task once, and outlives killed writers."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import lance
import numpy as np
import pytest

from backend.adapters.features.store import LanceFeatures
from backend.core.domain import FeatureBatch, Guess, Guesses
from backend.core.errors import StorageError
from tests.backend.disks import fill

WRITER = """
import sys, numpy as np
from backend.adapters.features.store import LanceFeatures
from backend.core.domain import FeatureBatch
store, first, step, count, size = LanceFeatures(sys.argv[1]), *map(int, sys.argv[2:6])
print("ready", flush=True)
for number in range(first, first + step * count, step):
    ids = np.arange(number * size, number * size + size)
    vectors = np.repeat(ids[:, None] % 1000, 16, 1).astype(np.float16)
    store.append(1, 1, FeatureBatch(ids, vectors, [f"{i:x}" for i in ids]))
"""


def batch(ids: list[int] | range, value: float | None = None, dims: int = 4) -> FeatureBatch:
    rows = np.array(list(ids), np.int64)
    values = rows % 1000 if value is None else np.full(len(rows), value)
    return FeatureBatch(rows, np.repeat(values[:, None], dims, 1).astype(np.float16), [f"{i:x}" for i in rows])


def writer(folder: Path, first: int, step: int, count: int, size: int) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", WRITER, str(folder), *map(str, (first, step, count, size))]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def test_a_project_without_features_is_empty(tmp_path: Path) -> None:
    store = LanceFeatures(str(tmp_path))
    table = store.load(1, 1)
    assert table.task_ids.shape == (0,) and table.vectors.shape == (0, 0)
    assert store.ids(1, 1).tolist() == []
    assert store.present(1, 1, [1]) == set() and store.read_guesses(1, [1]) == {}
    store.remove(1, 1, [1])
    store.optimize(1, 1)
    store.clear(1, 1)
    store.clear_guesses(1)
    store.append(1, 1, FeatureBatch(np.empty(0, np.int64), np.empty((0, 4), np.float16), []))
    assert list(tmp_path.iterdir()) == []


DAMAGE = {
    "manifests deleted": lambda folder: [file.unlink() for file in (folder / "_versions").iterdir()],
    "their folder deleted": lambda folder: shutil.rmtree(folder / "_versions"),
    "manifests overwritten": lambda folder: [f.write_bytes(b"garbage" * 9) for f in (folder / "_versions").iterdir()],
    "manifests cut": lambda folder: [os.truncate(file, 10) for file in (folder / "_versions").iterdir()],
    "manifests emptied": lambda folder: [os.truncate(file, 0) for file in (folder / "_versions").iterdir()],
    "rows deleted": lambda folder: shutil.rmtree(folder / "data"),
    "rows overwritten": lambda folder: [file.write_bytes(b"garbage" * 9) for file in (folder / "data").iterdir()],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_features_are_told_and_can_be_deleted(tmp_path: Path, damage: str) -> None:
    """(10-E4) Without its manifests a dataset counted as "no features", and could not be deleted."""
    LanceFeatures(str(tmp_path)).append(1, 1, batch([1, 2]))
    folder = tmp_path / "p1" / "features-v1.lance"
    DAMAGE[damage](folder)
    store = LanceFeatures(str(tmp_path))
    for look in (lambda: store.load(1, 1), lambda: store.ids(1, 1), lambda: store.present(1, 1, [1])):
        with pytest.raises(StorageError, match=rf"{folder}: .*restore it from a backup, or disconnect") as caught:
            look()
        assert "\n" not in str(caught.value) and "/rustc/" not in str(caught.value)
    store.clear(1, 1)
    assert store.ids(1, 1).tolist() == []
    store.append(1, 1, batch([3]))
    assert store.ids(1, 1).tolist() == [3]


def test_rows_come_back_ascending_and_the_last_of_a_task_wins(tmp_path: Path) -> None:
    store, other = LanceFeatures(str(tmp_path)), LanceFeatures(str(tmp_path))
    store.append(1, 1, batch([5, 3, 9]))
    first = store.load(1, 1)
    store.append(1, 1, batch([4, 3], value=7))
    store.append(1, 1, batch([20, 11]))
    store.append(1, 1, batch([20], value=1))
    for reader in (store, other):
        table = reader.load(1, 1)
        assert table.task_ids.tolist() == [3, 4, 5, 9, 11, 20]
        assert table.vectors[:, 0].tolist() == [7, 7, 5, 9, 11, 1]
        assert table.vectors.dtype == np.float16 and not table.vectors.flags.writeable
    assert first.task_ids.tolist() == [3, 5, 9] and first.vectors[:, 1].tolist() == [3, 5, 9]
    assert store.present(1, 1, [20, 4, 999]) == {20, 4}
    assert store.ids(1, 1).tolist() == store.load(1, 1).task_ids.tolist()


@pytest.mark.parametrize("seed", range(5))
def test_a_warm_reader_sees_what_a_cold_one_sees(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    warm, truth = LanceFeatures(str(tmp_path)), dict[int, float]()
    for _ in range(25):
        action = rng.integers(8)
        ids = rng.choice(400, rng.integers(1, 30), replace=False) + (max(truth, default=0) if action < 3 else 0)
        if action == 6:
            warm.remove(1, 1, ids.tolist())
            truth = {i: v for i, v in truth.items() if i not in ids}
        elif action == 7:
            warm.optimize(1, 1)
        else:
            value = float(rng.integers(100))
            warm.append(1, 1, batch(ids.tolist(), value))
            truth |= dict.fromkeys(ids.tolist(), value)
        if rng.random() < 0.6:
            table = warm.load(1, 1)
            assert dict(zip(table.task_ids.tolist(), table.vectors[:, :1].ravel().tolist(), strict=True)) == truth
    cold, table = LanceFeatures(str(tmp_path)).load(1, 1), warm.load(1, 1)
    assert cold.task_ids.tolist() == table.task_ids.tolist() == sorted(truth)
    np.testing.assert_array_equal(cold.vectors, table.vectors)


def test_versions_and_projects_are_apart_and_a_cleared_version_is_gone(tmp_path: Path) -> None:
    store = LanceFeatures(str(tmp_path))
    store.append(1, 1, batch([1]))
    store.append(1, 2, batch([2], dims=8))
    store.append(2, 1, batch([3]))
    store.write_guesses(1, Guesses(1, ("a",), np.array([1]), np.array([0], np.int32), np.array([1], np.float32)))
    assert store.load(1, 2).vectors.shape == (1, 8) and store.load(2, 1).task_ids.tolist() == [3]
    store.clear(1, 1)
    assert len(store.load(1, 1).task_ids) == 0 and len(store.load(1, 2).task_ids) == 1
    assert store.read_guesses(1, [1]) != {}
    store.clear_guesses(1)
    assert store.read_guesses(1, [1]) == {} and store.load(2, 1).task_ids.tolist() == [3]
    store.append(1, 1, batch([8], dims=8))  # another backbone may come after
    assert store.load(1, 1).task_ids.tolist() == [8]


def test_removed_rows_are_gone_and_compaction_keeps_the_rest(tmp_path: Path) -> None:
    store = LanceFeatures(str(tmp_path))
    for start in range(0, 300, 10):
        store.append(1, 1, batch(range(start, start + 10)))
    store.remove(1, 1, [0, 5, 299, 12345])
    store.optimize(1, 1)
    assert len(lance.dataset(str(tmp_path / "p1/features-v1.lance")).get_fragments()) == 1
    table = store.load(1, 1)
    assert len(table.task_ids) == 297 and not {0, 5, 299} & set(table.task_ids.tolist())
    np.testing.assert_array_equal(table.vectors[:, 0], table.task_ids)


def test_a_reader_survives_the_cleaning_of_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.adapters.features.store.KEEP_OLD", timedelta(0))
    store, reader, stop = LanceFeatures(str(tmp_path)), LanceFeatures(str(tmp_path)), threading.Event()
    store.append(1, 1, batch([0]))
    seen: list[int] = []

    def read() -> None:
        while not stop.is_set():
            seen.append(len(reader.load(1, 1).task_ids))

    thread = threading.Thread(target=read)
    thread.start()
    for start in range(1, 60):
        store.append(1, 1, batch([start]))
        store.optimize(1, 1)
    stop.set()
    thread.join()
    assert seen == sorted(seen) and len(reader.load(1, 1).task_ids) == 60


def test_a_batch_that_does_not_fit_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    store = LanceFeatures(str(tmp_path))
    store.append(1, 1, batch([1]))
    with pytest.raises(StorageError, match="STORAGE_URL"):
        store.append(1, 1, batch([2], dims=5))
    with pytest.raises(ValueError, match="2 digests"):
        store.append(1, 1, FeatureBatch(np.arange(1), np.zeros((1, 4), np.float16), ["a", "b"]))
    assert store.load(1, 1).task_ids.tolist() == [1]


def test_a_storage_that_cannot_be_written_is_named_with_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StorageError, match="STORAGE_URL"):
        LanceFeatures(str(tmp_path / "file")).append(1, 1, batch([1]))


def test_two_processes_that_create_and_append_at_once_lose_nothing(tmp_path: Path) -> None:
    writers = [writer(tmp_path, first, 2, 25, 8) for first in (0, 1)]
    assert [w.wait(60) for w in writers] == [0, 0]
    for process in writers:
        process.communicate()
    table = LanceFeatures(str(tmp_path)).load(1, 1)
    assert table.task_ids.tolist() == list(range(400))
    np.testing.assert_array_equal(table.vectors[:, 0], table.task_ids % 1000)


def test_threads_that_race_to_create_lose_nothing(tmp_path: Path) -> None:
    for trial in range(20):
        threads = [
            threading.Thread(target=LanceFeatures(str(tmp_path)).append, args=(trial, 1, batch([i]))) for i in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert LanceFeatures(str(tmp_path)).load(trial, 1).task_ids.tolist() == list(range(4))


@pytest.mark.parametrize("delay", [0.0, 0.013, 0.05, 0.11])
def test_a_killed_writer_leaves_whole_batches_only(tmp_path: Path, delay: float) -> None:
    process, size = writer(tmp_path, 0, 1, 10_000, 50), 50
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    time.sleep(delay)  # the moment of death is what varies here
    process.send_signal(signal.SIGKILL)
    process.communicate()
    store = LanceFeatures(str(tmp_path))
    table = store.load(1, 1)
    assert len(table.task_ids) % size == 0
    np.testing.assert_array_equal(table.task_ids, np.arange(len(table.task_ids)))
    np.testing.assert_array_equal(table.vectors, np.repeat(table.task_ids[:, None] % 1000, table.vectors.shape[1], 1))
    store.append(1, 1, batch([900_000], dims=16))
    assert store.load(1, 1).task_ids[-1] == 900_000


def test_guesses_are_replaced_as_a_whole_and_seen_by_other_processes(tmp_path: Path) -> None:
    store, web = LanceFeatures(str(tmp_path)), LanceFeatures(str(tmp_path))
    for head in (1, 2, 3):
        ids = np.array([30, 10, 20])
        classes = np.array([2, 0, 1], np.int32)
        confidence = np.array([0.5, 0.25, head / 4], np.float32)
        store.write_guesses(7, Guesses(head, ("a", f"b{head}", "ü"), ids, classes, confidence))
        for _ in range(2):
            assert web.read_guesses(7, [20, 5, 30, 99]) == {20: Guess(f"b{head}", head / 4), 30: Guess("ü", 0.5)}
    empty = np.empty(0, np.int64)
    store.write_guesses(7, Guesses(4, (), empty, empty.astype(np.int32), empty.astype(np.float32)))
    assert web.read_guesses(7, [20]) == {}


@pytest.mark.parametrize("width", [3, 8, 11])
def test_guesses_of_sets_are_kept_and_give_way_to_guesses_of_one_class(tmp_path: Path, width: int) -> None:
    """(12-2) By another process too, after a label config took several choices, and before."""
    store, web = LanceFeatures(str(tmp_path)), LanceFeatures(str(tmp_path))
    ids, names = np.array([30, 10, 20]), tuple(f"c{n}" for n in range(width))
    one = Guesses(1, names, ids, np.array([2, 0, 1], np.int32), np.array([0.5, 0.25, 1.0], np.float32))
    present = np.zeros((3, width), bool)
    present[0, [0, width - 1]] = present[2, 1] = True
    for guesses in (one, replace(one, present=present), one):
        store.write_guesses(7, guesses)
        assert web.read_guesses(7, [10, 20, 30]) == {
            task: guesses.at(row) for row, task in sorted(enumerate(ids.tolist()), key=lambda pair: pair[1])
        }
    assert replace(one, present=present).at(0).present == ("c0", f"c{width - 1}")
    assert replace(one, present=present).at(1).present == ()


def test_the_cache_forgets_the_project_used_longest_ago(tmp_path: Path) -> None:
    store = LanceFeatures(str(tmp_path), cache_bytes=1000)
    for project in (1, 2, 3):
        store.append(project, 1, batch(range(60), dims=8))
        store.load(project, 1)
    assert len(store._tables) == 1
    assert store.load(1, 1).task_ids.tolist() == list(range(60))


def test_importing_the_store_does_not_bring_torch() -> None:
    code = "import sys, backend.adapters.features.store; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_rows_that_are_loaded_again_are_those_in_memory(tmp_path: Path) -> None:
    store = LanceFeatures(str(tmp_path))
    vectors = np.random.default_rng(0).standard_normal((10_000, 1280), np.float32).astype(np.float16)
    for start in range(0, 10_000, 500):
        ids = np.arange(start, start + 500)
        store.append(1, 1, FeatureBatch(ids, vectors[ids], ["0" * 64] * 500))
    first, again = store.load(1, 1), store.load(1, 1)
    np.testing.assert_array_equal(first.vectors, vectors)
    assert np.shares_memory(first.vectors, again.vectors)


def test_a_full_disk_is_told_as_such(small_disk: Path) -> None:
    """(10-E4) "check STORAGE_URL ... disconnect the project", for want of room."""
    store = LanceFeatures(str(small_disk))
    store.append(1, 1, batch(range(10)))
    fill(small_disk)
    with pytest.raises(StorageError, match=r"its disk is full; make room on it$"):
        store.append(1, 1, batch(range(10, 20_000)))
    with pytest.raises(StorageError, match=r"its disk is full; make room on it$"):
        store.append(2, 1, batch(range(10)))

"""A checkpoint is the old file or the new one, wherever it is kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow.fs
import pytest
import safetensors.torch
import torch

from backend.core.errors import BackboneError, StorageError
from backend.engine import checkpoints
from backend.engine.checkpoints import Checkpoints
from tests.harness.waiting import wait_for

KEY = "checkpoints/p1-v2/last.safetensors"
ABOUT = {"architecture": "resnet10t", "pixels": 64, "mean": [0.5] * 3, "std": [0.2] * 3, "classes": ["a"], "head": "fc"}

OVERWRITE = """
import os, sys, torch
from backend.engine.checkpoints import Checkpoints
store, call = Checkpoints(sys.argv[1]), sys.argv[2]
def die(*_):
    os._exit(9)
setattr(os, call, die)
store.write("checkpoints/p1-v2/last.safetensors", {"x": torch.ones(3)}, {"done": 2})
"""


@pytest.fixture(params=["folder", "object store"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkpoints:
    if request.param == "folder":
        return Checkpoints(str(tmp_path / "kept"))
    (tmp_path / "bucket/checkpoints/p1-v2").mkdir(parents=True)
    local = pyarrow.fs.SubTreeFileSystem(str(tmp_path / "bucket"), pyarrow.fs.LocalFileSystem())
    monkeypatch.setattr(checkpoints, "_open_remote", lambda url: (local, ""))
    return Checkpoints("s3://bucket", cache=tmp_path / "cache")


def test_what_is_written_is_read_and_deleted(store: Checkpoints) -> None:
    assert store.about(KEY) is None
    store.write(KEY, {"x": torch.zeros(3)}, {"done": 1})
    store.write(KEY, {"x": torch.arange(4)}, {"done": 2})
    assert store.about(KEY) == {"done": 2}
    assert torch.equal(store.read(KEY)["x"], torch.arange(4))
    store.delete(KEY)
    store.delete(KEY)
    with pytest.raises(StorageError, match="no checkpoint"):
        store.read(KEY)


def test_a_key_resolves_to_a_file_here_that_names_its_backbone(store: Checkpoints) -> None:
    store.write(KEY, {"x": torch.zeros(3)}, ABOUT)
    kept = store.resolve(KEY)
    assert kept.backbone == f"resnet10t:{kept.path}" and kept.path.is_file()
    assert (kept.pixels, kept.classes, kept.head, kept.mean) == (64, ("a",), "fc", (0.5, 0.5, 0.5))
    store.delete(KEY)
    with pytest.raises(BackboneError, match="gone"):
        store.resolve(KEY)


@pytest.mark.slow
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_worker_that_dies_while_it_writes_leaves_the_old_state(tmp_path: Path, call: str) -> None:
    store = Checkpoints(str(tmp_path))
    store.write(KEY, {"x": torch.zeros(3)}, {"done": 1})
    assert subprocess.run([sys.executable, "-c", OVERWRITE, str(tmp_path), call]).returncode == 9
    assert store.about(KEY) == {"done": 1} and not store.read(KEY)["x"].any()
    (part,) = (tmp_path / KEY).parent.glob("*.part")  # what it wrote
    store.write(KEY, {"x": torch.ones(3)}, {"done": 2})
    assert part.exists()  # for all that this writer knows it is another one's who is not done yet
    os.utime(part, (0, 0))
    store.write(KEY, {"x": torch.ones(3)}, {"done": 2})
    assert [path.name for path in (tmp_path / KEY).parent.iterdir()] == ["last.safetensors"]


WRITE = """
import sys, torch
from pathlib import Path
from backend.engine.checkpoints import Checkpoints
store, number = Checkpoints(sys.argv[1]), int(sys.argv[2])
Path(sys.argv[1], f"ready-{number}").touch()
while not Path(sys.argv[1], "go").exists():
    pass
for turn in range(20):
    store.write("checkpoints/p1-v2/last.safetensors", {"x": torch.full((20_000,), number)}, {"by": number})
"""


@pytest.mark.slow
def test_nine_writers_of_one_checkpoint_do_not_disturb_each_other(tmp_path: Path) -> None:
    """(10-E4) Each deleted the unfinished files of the others: 5 of 9 failed."""
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITE, str(tmp_path), str(number)], stderr=subprocess.PIPE, text=True)
        for number in range(9)
    ]
    wait_for(lambda: len(list(tmp_path.glob("ready-*"))) == 9, 120, what="nine writers")
    (tmp_path / "go").touch()
    errors = [writer.communicate(timeout=120)[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * 9, errors
    store = Checkpoints(str(tmp_path))
    about = store.about(KEY)
    assert about is not None and set(store.read(KEY)["x"].tolist()) == {about["by"]}
    assert [path.name for path in (tmp_path / KEY).parent.iterdir()] == ["last.safetensors"]


def test_a_full_disk_is_told_and_leaves_the_old_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Checkpoints(str(tmp_path))
    store.write(KEY, {"x": torch.zeros(3)}, {"done": 1})

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        store.write(KEY, {"x": torch.ones(3)}, {"done": 2})
    assert store.about(KEY) == {"done": 1} and len(list((tmp_path / KEY).parent.iterdir())) == 1


def test_a_broken_file_is_told_with_the_cure(tmp_path: Path) -> None:
    store = Checkpoints(str(tmp_path))
    store.write(KEY, {"x": torch.zeros(300)}, {"done": 1})
    content = (tmp_path / KEY).read_bytes()
    (tmp_path / KEY).write_bytes(content[:100])
    for read in (store.about, store.read, store.resolve):
        with pytest.raises(StorageError, match="delete it"):
            read(KEY)


def test_a_file_holds_tensors_and_json_only(tmp_path: Path) -> None:
    Checkpoints(f"file://{tmp_path}").write(KEY, {"x": torch.zeros(3)}, {"done": 1})
    assert list(safetensors.torch.load_file(tmp_path / KEY)) == ["x"]


def test_an_unknown_kind_of_storage_names_the_known_ones() -> None:
    with pytest.raises(StorageError, match="s3://, gs://"):
        Checkpoints("dbfs://x")


def test_an_azure_address_without_an_account_is_told_the_form_that_features_and_weights_share() -> None:
    with pytest.raises(StorageError, match="abfss://CONTAINER@ACCOUNT"):
        Checkpoints("az://container/folder")
    Checkpoints("abfss://container@account.dfs.core.windows.net/folder")

"""A fine-tuning goes on after any interruption to the same weights, with whatever memory and images there are."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

from backend.core.domain.training import Example
from backend.core.errors import BadSetting, TrainingFailed
from backend.engine.backbone import open_backbone
from backend.engine.checkpoints import Checkpoints
from backend.engine.finetune import run
from backend.engine.finetune.recipe import FT, LP_FT, rate_at, recipe_of
from tests.backend.finetune_orders import CLASSES, PIXELS, never, open_trainer, order_of, trainer_at

BEST = "checkpoints/p1-v2/best.safetensors"
LAST = "checkpoints/p1-v2/last.safetensors"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("digits")


@pytest.fixture(scope="module")
def whole(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The storage of an uninterrupted run of `SMALL`."""
    storage = tmp_path_factory.mktemp("whole")
    state = trainer_at(storage).slice(small(images), seconds=1e9, cancelled=never)
    assert state.finished and len(state.epochs) == state.total == 3
    return storage


def small(images: Path):
    """40 images of 3 classes, LP and two epochs."""
    return order_of(images, 40, classes=3)


def same(one: Path, other: Path, key: str = LAST) -> bool:
    first, second = (safetensors.torch.load_file(storage / key) for storage in (one, other))
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_each_epoch_tells_its_losses_accuracy_and_seconds(whole: Path) -> None:
    for record in Checkpoints(str(whole)).about(LAST)["records"]:
        assert set(record) == {"loss", "held_out_loss", "accuracy", "seconds"}
        assert 0 <= record["accuracy"] <= 1 and record["loss"] > 0 and record["seconds"] > 0


@pytest.mark.slow
def test_slices_of_one_epoch_by_fresh_workers_end_with_the_same_weights(images: Path, whole: Path, tmp_path: Path):
    done = []
    while not done or not done[-1].finished:
        done.append(trainer_at(tmp_path).slice(small(images), seconds=0, cancelled=never))
    assert [len(state.epochs) for state in done] == [1, 2, 3]
    assert same(whole, tmp_path) and same(whole, tmp_path, BEST)


def test_a_warm_worker_goes_on_without_loading_and_with_the_same_weights(
    images: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = trainer_at(tmp_path)
    trainer.slice(small(images), seconds=0, cancelled=never)
    monkeypatch.setattr("backend.engine.finetune.trainer.open_backbone", None)
    assert trainer.slice(small(images), seconds=1e9, cancelled=never).finished
    assert same(whole, tmp_path)


@pytest.mark.slow
def test_a_run_killed_within_an_epoch_ends_with_the_same_weights(images: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.backend.finetune_orders", str(images), str(tmp_path)]
    worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    for line in worker.stdout:
        if line == "epoch 2\n":  # LP and one epoch are kept, the next one has begun
            worker.send_signal(signal.SIGKILL)
            break
    worker.stdout.close()
    assert worker.wait(30) == -signal.SIGKILL
    order = order_of(images, 40, classes=3, epochs=50)
    assert Checkpoints(str(tmp_path)).about(LAST)["done"] == 2
    trainer_at(tmp_path).slice(order, seconds=0, cancelled=never)
    calm = tmp_path / "calm"
    for _ in range(3):
        trainer_at(calm).slice(order, seconds=0, cancelled=never)
    assert same(calm, tmp_path)


def test_a_cancelled_epoch_leaves_the_last_kept_one(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(run, "LOOK_EVERY", -1.0)
    trainer = trainer_at(tmp_path)
    before = trainer.slice(small(images), seconds=0, cancelled=never)
    after = trainer.slice(small(images), seconds=1e9, cancelled=lambda: True)
    assert after.epochs == before.epochs and not after.finished


def test_the_best_weights_load_as_a_backbone_and_the_head_beside_them(whole: Path) -> None:
    kept = Checkpoints(str(whole)).resolve(BEST)
    network = open_backbone(kept.backbone, pixels=kept.pixels)
    plain = open_backbone(pixels=PIXELS)
    assert network.about.digest != plain.about.digest and network.about.dims == plain.about.dims
    assert (kept.mean, kept.std, kept.classes) == (network.mean, network.std, CLASSES[:3])
    import timm

    model = timm.create_model(
        kept.backbone.partition(":")[0], pretrained=False, num_classes=3, checkpoint_path=str(kept.path)
    )
    inputs = torch.rand(2, 3, PIXELS, PIXELS)
    state = safetensors.torch.load_file(kept.path)
    with torch.inference_mode():
        logits = network.model(inputs) @ state[f"{kept.head}.weight"].T + state[f"{kept.head}.bias"]
        assert torch.allclose(model.eval()(inputs), logits, atol=1e-4)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("full"), MemoryError(), RuntimeError("can't allocate memory")]
)
def test_out_of_memory_halves_the_batch_and_goes_on(
    images: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    forward = run.Classifier.forward

    def scarce(model, pictures):
        if len(pictures) > 5:
            raise error
        return forward(model, pictures)

    monkeypatch.setattr(run.Classifier, "forward", scarce)
    state = trainer_at(tmp_path).slice(small(images), seconds=1e9, cancelled=never)
    assert state.finished
    assert Checkpoints(str(tmp_path)).about(LAST)["part"] <= 5
    first, second = (safetensors.torch.load_file(storage / BEST) for storage in (whole, tmp_path))
    assert all(torch.allclose(first[name].float(), second[name].float(), atol=1e-2) for name in first)


def test_no_memory_for_one_image_is_a_failure_with_its_cure(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(model, pictures):
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr(run.Classifier, "forward", full)
    with pytest.raises(TrainingFailed, match="IMAGE_SIZE"):
        trainer_at(tmp_path).slice(small(images), seconds=1e9, cancelled=never)


def test_other_errors_are_not_taken_for_memory(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(model, pictures):
        raise RuntimeError("shapes")

    monkeypatch.setattr(run.Classifier, "forward", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        trainer_at(tmp_path).slice(small(images), seconds=1e9, cancelled=never)


def test_a_bad_image_is_left_out_and_said(images: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    order = small(images)
    order = dataclasses.replace(order, train=(*order.train, Example(99, "/nowhere.png", 0)), epochs=1)
    assert trainer_at(tmp_path).slice(order, seconds=1e9, cancelled=never).finished
    assert "task 99 is not trained on" in caplog.text


@pytest.mark.parametrize("spoil", ["train", "held_out"])
def test_no_readable_image_is_a_failure(images: Path, tmp_path: Path, spoil: str) -> None:
    order = small(images)
    gone = tuple(dataclasses.replace(example, image="/nowhere.png") for example in getattr(order, spoil))
    with pytest.raises(TrainingFailed, match="can be read"):
        trainer_at(tmp_path).slice(dataclasses.replace(order, **{spoil: gone}), seconds=1, cancelled=never)


def test_one_class_is_a_failure(images: Path, tmp_path: Path) -> None:
    order = small(images)
    ones = tuple(example for example in order.train if example.label == 1)
    with pytest.raises(TrainingFailed, match="fewer than two classes"):
        trainer_at(tmp_path).slice(dataclasses.replace(order, train=ones), seconds=1, cancelled=never)


def test_a_state_of_other_labels_under_the_same_name_is_not_gone_on_from(images: Path, tmp_path: Path) -> None:
    order = small(images)
    trainer_at(tmp_path).slice(order, seconds=0, cancelled=never)
    fewer = dataclasses.replace(order, train=order.train[1:])
    assert len(trainer_at(tmp_path).slice(fewer, seconds=0, cancelled=never).epochs) == 2  # one label has gone since
    other = dataclasses.replace(order.train[0], label=(order.train[0].label + 1) % 3)
    changed = dataclasses.replace(order, train=(other, *order.train[1:]))
    assert len(trainer_at(tmp_path).slice(changed, seconds=0, cancelled=never).epochs) == 1


def test_ft_trains_all_weights_at_once_and_a_weightless_example_teaches_nothing(images: Path, tmp_path: Path) -> None:
    order = order_of(images, 40, classes=3, method="ft", epochs=1)
    silent = tuple(dataclasses.replace(example, weight=0.0) for example in order.train)
    state = trainer_at(tmp_path).slice(dataclasses.replace(order, train=silent), seconds=1, cancelled=never)
    assert state.total == len(state.epochs) == 1 and state.epochs[0].loss == 0
    head = safetensors.torch.load_file(tmp_path / BEST)["classifier.weight"]
    assert not head.any()
    trainer_at(tmp_path).slice(order, seconds=1, cancelled=never)
    assert safetensors.torch.load_file(tmp_path / BEST)["classifier.weight"].any()


def test_dropping_a_run_keeps_its_best_weights(images: Path, tmp_path: Path) -> None:
    trainer = trainer_at(tmp_path)
    trainer.slice(dataclasses.replace(small(images), epochs=1), seconds=1e9, cancelled=never)
    trainer.drop("p1-v2")
    trainer.drop("p1-v2")
    assert [path.name for path in (tmp_path / "checkpoints/p1-v2").iterdir()] == ["best.safetensors"]


def test_the_rate_warms_up_and_falls_to_almost_nothing(images: Path) -> None:
    rates = [rate_at(step / 100) for step in range(101)]
    assert rates.index(max(rates)) == 10 and max(rates) == pytest.approx(1) and rates[-1] == pytest.approx(0.01)
    assert rates[0] < 0.2 and rates[10:] == sorted(rates[10:], reverse=True)
    assert recipe_of(small(images)) == dataclasses.replace(LP_FT, epochs=2)
    assert recipe_of(dataclasses.replace(small(images), method="ft", epochs=None)) == FT


def test_an_unknown_device_is_a_bad_setting(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="tpu9"):
        open_trainer(None, storage_url=str(tmp_path), device="tpu9")

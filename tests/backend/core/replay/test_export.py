"""What a project takes away works in plain timm and ONNX Runtime, from its folder alone."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import safetensors.torch
import structlog.testing
import timm
import torch
from PIL import Image

from backend import wiring
from backend.adapters.images.folder import open_images, reference
from backend.cli.main import main
from backend.core.domain import Embedded
from backend.core.errors import BackboneError, UserError
from backend.core.replay.export import package
from backend.engine.backbone import open_backbone
from backend.engine.checkpoints import Checkpoints
from backend.engine.embedder import open_embedder
from backend.engine.export.files import export_files
from backend.engine.export.model import Exported, join, open_exported
from backend.report.model_card import card
from scripts.digits import digits
from selection.proxy.heads.linear import LinearHead, probabilities
from tests.backend.world import LS_ID, NAMES, World

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[4]
PIXELS = 64
TASKS = 24


class Digits:
    """The real backbone on digits: task t shows a 0, 1 or 2, as `World.label` says (t modulo 3)."""

    def __init__(self, folder: Path) -> None:
        by_class: dict[int, list[Path]] = {0: [], 1: [], 2: []}
        for path in digits(folder, 110, pixels=PIXELS):
            by_class.get(int(path.stem.split("_")[1]), []).append(path)
        self.paths = {task: by_class[task % 3][task // 3] for task in range(1, TASKS + 1)}
        images = open_images(folder, max_bytes=1 << 20, max_pixels=10_000)
        self.real = open_embedder(images, pixels=PIXELS, device="cpu", precision="fp32", threads=1, loaders=2)

    backbone = property(lambda self: self.real.backbone)
    device = "cpu"

    def embed(self, items):
        for item in self.real.embed((task, (reference(Path(self.paths[task].name)),)) for task, _ in items):
            assert isinstance(item, Embedded), item
            yield item


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(world, its digits, folder of its export)."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABELQUEUE_HOME", str(home))
        world = World(home)
        world.embedder = Digits(tmp_path_factory.mktemp("digits"))
        world.connect(TASKS)
        world.embed_all()
        served = world.rank()
        world.label(*served[:12])
        world.ls.annotate(LS_ID, served[12], None, world.clock.time, skipped=True)
        world.annotate(served[13], None)
        world.label()
        world.rank()
        patch.setenv("IMAGE_SIZE", str(PIXELS))
        patch.setattr(wiring, "services", lambda settings: world.services)
        patch.setattr("backend.logs.configure", lambda *_, **__: None)
        folder = home / "model"
        patch.setattr(sys, "argv", ["labelqueue", "export", str(LS_ID), "--to", str(folder)])
        with structlog.testing.capture_logs(), pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
    yield world, world.embedder, folder
    world.embedder.real.close()


@pytest.fixture(scope="module")
def expected(made):
    """Probabilities (24, 3) of the linear head on the features that the service stored."""
    world, _, _ = made
    packed = package(world.services, world.project)
    return probabilities(packed.head, world.features.load(world.project.id, 1).vectors)


def test_plain_timm_loads_it_and_gives_the_same_probabilities(made, expected):
    world, shown, folder = made
    config = json.loads((folder / "config.json").read_text())
    model = timm.create_model(config["timm"]["model_name"], num_classes=3)
    model.load_state_dict(safetensors.torch.load_file(folder / "model.safetensors"))
    packed = package(world.services, world.project)
    images = torch.randn((4, 3, PIXELS, PIXELS), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        features = open_backbone(pixels=PIXELS).model(images).numpy()
        found = model.eval()(images).softmax(1).numpy()
    np.testing.assert_allclose(found, probabilities(packed.head, features), atol=1e-4)
    prepare = timm.data.create_transform(**config["preprocessing"])
    stacked = torch.stack([prepare(Image.open(shown.paths[task]).convert("RGB")) for task in sorted(shown.paths)])
    with torch.inference_mode():
        through = model(stacked).softmax(1).numpy()
    np.testing.assert_allclose(through, expected, atol=2e-2)  # the service keeps features in 16 bits


def test_our_own_reading_gives_the_services_probabilities(made, expected):
    _, shown, folder = made
    found = dict(open_exported(folder).predict([shown.paths[task] for task in sorted(shown.paths)]))
    got = np.stack([found[shown.paths[task]] for task in sorted(shown.paths)])
    np.testing.assert_allclose(got, expected, atol=5e-3)
    assert (got.argmax(1) == [task % 3 for task in sorted(shown.paths)]).mean() > 0.7


def test_onnx_gives_the_same_for_any_number_of_images(made):
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra 'export' is not installed")
    _, _, folder = made
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    opened = open_exported(folder)
    for count in (1, 5):
        images = torch.randn((count, 3, PIXELS, PIXELS), generator=torch.Generator().manual_seed(count))
        with torch.inference_mode():
            wanted = opened.model(images).softmax(1).numpy()
        np.testing.assert_allclose(session.run(None, {"images": images.numpy()})[0], wanted, atol=1e-4)


def test_labels_and_rankings_say_where_they_came_from(made):
    world, _, folder = made
    given, passed = world.services.tasks.labels(world.project.id)
    skipped = {task for task in passed if world.services.tasks.list(world.project.id, ids=[task])[0].skipped}
    with (folder / "labels.csv").open() as file:
        labels = {int(row["task"]): row for row in csv.DictReader(file)}
    assert set(labels) == set(given) | passed and (len(passed), len(skipped)) == (2, 1)
    first, second = world.services.rankings.history(world.project.id)[::-1]
    audit = world.services.tasks.audit(world.project.id)
    for task, row in labels.items():
        pick = first.picks[int(row["position"]) - 1]
        assert pick.task_id == task and int(row["ranking"]) == first.id and row["strategy"] == "auto"
        assert row["label"] == given.get(task, "") and row["labeled_at"].endswith("+00:00")
        assert (row["skipped"], row["annotated"], row["images"]) == (
            "true" if task in skipped else "false",
            "true" if task in passed - skipped else "false",
            "1",
        )
        assert row["audit"] == ("true" if task in audit else "false")
    columns = pyarrow.parquet.read_table(folder / "rankings.parquet")
    assert columns.num_rows == len(first.picks) + len(second.picks)
    rows = [row for row in columns.to_pylist() if row["ranking"] == second.id]
    assert [row["task"] for row in rows] == [pick.task_id for pick in second.picks]
    assert [row["position"] for row in rows] == list(range(1, len(rows) + 1))
    assert rows[0]["guess"] in (*NAMES, None) and rows[0]["labeled"] == 12
    assert rows[0]["made_at"].timestamp() == pytest.approx(second.created_at)
    with (folder / "rankings.csv").open() as file:
        assert len(list(csv.DictReader(file))) == columns.num_rows
    assert pyarrow.parquet.read_table(folder / "labels.parquet").num_rows == len(labels)


def test_the_card_tells_counts_figures_and_limits(made):
    world, _, folder = made
    packed = package(world.services, world.project)
    text, report = (folder / "README.md").read_text(), packed.report
    trained = sum(package(world.services, world.project).counts.values())
    for expected in (
        f"from {trained} labels",
        f"| {report.accuracy:.1%} | {report.low:.1%} to {report.high:.1%} |",
        "the live queue's head",
        f"of the {packed.audit.population} tasks that nobody had labeled",
        "Wilson's, for one look",
        "efficientnet-lite0 at 64 px",
        "## Limits",
        "`auto`",
        "12 labeled, 1 annotated with nothing to learn from, 1 skipped",
        "differ by up to 0.015",
    ):
        assert expected in text, expected
    assert report.kind == "linear"


def test_predict_needs_the_folder_alone(made, tmp_path):
    _, shown, folder = made
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    command = [sys.executable, "-m", "backend.cli.main", "predict", str(folder), str(shown.paths[3]), str(bad)]
    alone = {k: v for k, v in os.environ.items() if not k.startswith("LABEL")} | {
        "LABELQUEUE_HOME": str(tmp_path / "none"),
        "DATABASE_URL": "sqlite:////nowhere/at/all.db",
    }
    ended = subprocess.run(command, cwd=ROOT, env=alone, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 1, ended.stderr
    path, name, probability = ended.stdout.strip().split("\t")
    assert path == str(shown.paths[3]) and name in NAMES and 1 / 3 <= float(probability) <= 1
    assert "bad.png\tcannot be read: not an image" in ended.stderr
    assert not (tmp_path / "none").exists()


def test_predict_as_json_lists_every_class_and_reads_folders(made, monkeypatch, capsys, tmp_path):
    _, shown, folder = made
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "one.png").write_bytes(shown.paths[1].read_bytes())
    monkeypatch.setattr(sys, "argv", ["labelqueue", "predict", str(folder), str(tmp_path / "in"), "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    (item,) = json.loads(capsys.readouterr().out)
    assert set(item["probabilities"]) == set(NAMES)
    assert sum(item["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert item["probability"] == item["probabilities"][item["class"]]


def test_a_missing_or_damaged_folder_is_said_to_be_so(made, tmp_path):
    _, _, folder = made
    with pytest.raises(UserError, match="holds no config"):
        open_exported(tmp_path)
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(UserError, match="holds no model"):
        open_exported(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"short")
    with pytest.raises(UserError, match="is damaged"):
        open_exported(tmp_path)


def test_a_class_without_labels_has_no_probability():
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(1280, 3)).astype(np.float32) / 100
    weight[:, 2] = 0
    head = LinearHead(weight, np.array([0.1, 0.2, -np.inf], np.float32), 1.7)
    network = open_backbone(pixels=PIXELS)
    model, arguments = join(network, "tf_efficientnet_lite0", head)
    assert arguments == {"model_name": "tf_efficientnet_lite0", "num_classes": 3}
    ours = Exported(model, NAMES, PIXELS, np.array(network.mean, np.float32), np.array(network.std, np.float32))
    found = ours.probabilities([torch.zeros(PIXELS, PIXELS, 3, dtype=torch.uint8)])
    assert found[0, 2] == 0 and found[0, :2].min() > 0
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())
    with pytest.raises(BackboneError, match="no plain linear classifier"):
        join(network, "tf_efficientnet_lite0", LinearHead(weight[:8], head.bias, 1.0))


def test_nothing_is_exported_before_two_classes_have_labels(tmp_path):
    world = World(tmp_path)
    world.connect(6)
    world.embed_all()
    world.label(3, 6)
    with pytest.raises(UserError, match="fewer than two classes"):
        package(world.services, world.project)


def test_the_backbone_must_be_the_one_that_made_the_features(made, tmp_path):
    world, _, _ = made
    packed = package(world.services, world.project)
    with pytest.raises(UserError, match="set BACKBONE and IMAGE_SIZE as they were"):
        export_files(packed, tmp_path / "new", backbone="", pixels=96, storage_url="")
    assert not (tmp_path / "new").exists()
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="holds other files"):
        export_files(packed, tmp_path, backbone="", pixels=PIXELS, storage_url="")


def test_fine_tuned_weights_take_the_backbones_place(made, tmp_path, monkeypatch):
    monkeypatch.setattr("backend.engine.export.files.write_onnx", lambda *_: "not asked for")
    world, _, _ = made
    state = open_backbone(pixels=PIXELS).model.state_dict()
    state["conv_stem.weight"] = state["conv_stem.weight"] * 1.5
    about = {"architecture": "tf_efficientnet_lite0", "pixels": PIXELS, "mean": [0.5] * 3, "std": [0.5] * 3}
    about |= {"classes": list(NAMES), "head": "classifier"}
    Checkpoints(str(tmp_path)).write("checkpoints/r/best.safetensors", state, about)
    kept = Checkpoints(str(tmp_path)).resolve("checkpoints/r/best.safetensors")
    tuned = open_backbone(kept.backbone, pixels=PIXELS)
    packed = package(world.services, world.project)
    packed = dataclasses.replace(
        packed,
        features=dataclasses.replace(
            packed.features, checkpoint="checkpoints/r/best.safetensors", method="lp-ft", backbone=tuned.about.tag
        ),
    )
    told = export_files(packed, tmp_path / "model", backbone="", pixels=96, storage_url=str(tmp_path))
    assert told == ["no ONNX file: not asked for"]
    images = torch.randn((2, 3, PIXELS, PIXELS), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        found = open_exported(tmp_path / "model").model(images).softmax(1).numpy()
        features = tuned.model(images).numpy()
    np.testing.assert_allclose(found, probabilities(packed.head, features), atol=1e-4)
    text = (tmp_path / "model" / "README.md").read_text()
    assert "fine-tuned on" in text and "There is no ONNX file: not asked for." in text


def test_a_title_cannot_write_into_the_card(made):
    world, _, _ = made
    packed = package(world.services, world.project)
    evil = dataclasses.replace(packed, project=dataclasses.replace(packed.project, title="a\n# b [c](d)|"))
    text = card(evil, "x", 64, {"labelqueue": "1"}, "")
    assert text.splitlines()[0] == "# a \\# b \\[c\\](d)\\|: image classifier"

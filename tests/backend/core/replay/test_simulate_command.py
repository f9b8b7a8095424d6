"""`labelqueue simulate`: folders are embedded once, projects warn, files hold what the terminal shows."""

from __future__ import annotations

import csv
import dataclasses
import json
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import structlog.testing
from PIL import Image

from backend import wiring
from backend.adapters.images.folder import folder_features, read_folder
from backend.cli.main import main
from backend.core.domain import Embedded, Failed
from backend.core.errors import UserError
from backend.core.replay.simulate import Reveal
from backend.core.services import Options
from backend.core.text.json_text import rounded
from backend.engine.simulation_renewal import renewer
from backend.report.curve_plot import draw, ticks
from backend.report.simulation_files import shown
from tests.backend.world import LS_ID, World
from tests.fakes import FakeEmbedder, FakeTrainer


class FolderEmbedder(FakeEmbedder):
    """Vectors by the class in the reference; names with "bad" fail."""

    def embed(self, items):
        for row, (ref,) in items:
            self.embedded.append(row)
            if "bad" in ref:
                yield Failed(row, "the image is truncated")
            else:
                vector = np.random.default_rng(row).normal(0, 1, self.dims)
                vector["abc".index(ref.split("=")[1][0])] += 3
                yield Embedded(row, vector.astype(np.float16), f"{row:064x}")


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "photos"
    for name in "abc":
        for number in range(14):
            path = root / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 4), (number, ord(name), 0)).save(path)
    (root / "b" / "bad.png").write_bytes(b"no image")
    (root / "empty").mkdir()
    (root / "notes.txt").write_text("not an image")
    return root


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LABELQUEUE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("backend.logs.configure", lambda *_, **__: None)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["labelqueue", "simulate", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        return ended.value.code or 0, shown.out, shown.err

    with structlog.testing.capture_logs():  # nothing on stdout but what the command prints
        yield call


def test_a_folder_is_embedded_once_and_anew_when_an_image_changes(folder, tmp_path):
    embedder = FolderEmbedder()
    good, table, failed = folder_features(read_folder(folder), embedder, tmp_path / "cache")
    assert good.classes == ("a", "b", "c") and len(good.paths) == len(table.vectors) == 42
    assert [(path.name, reason) for path, reason in failed] == [("bad.png", "the image is truncated")]
    assert [good.paths[row].parent.name for row in (0, 20, 41)] == ["abc"[good.labels[row]] for row in (0, 20, 41)]
    for row in (0, 20, 41):
        place = read_folder(folder).paths.index(good.paths[row])
        known = next(iter(FolderEmbedder().embed([(place, (f"?d={good.paths[row].parent.name}",))])))
        assert (table.vectors[row] == known.vector).all()
    count = len(embedder.embedded)
    again, same, failed_again = folder_features(read_folder(folder), embedder, tmp_path / "cache")
    assert len(embedder.embedded) == count and (same.vectors == table.vectors).all()
    assert again.paths == good.paths and failed_again == failed
    Image.new("RGB", (4, 4), "white").save(folder / "a" / "3.png")
    folder_features(read_folder(folder), embedder, tmp_path / "cache")
    assert len(embedder.embedded) == 2 * count
    folder_features(read_folder(folder), FolderEmbedder(name="other"), tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 3


def test_a_folder_without_classes_is_refused(tmp_path):
    (tmp_path / "only").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "only" / "1.png")
    with pytest.raises(UserError, match="1 classes"):
        read_folder(tmp_path)


@pytest.mark.slow
def test_a_simulation_of_a_folder_writes_what_it_shows(folder, run, tmp_path, monkeypatch):
    monkeypatch.setattr("backend.cli.simulate._embedder", lambda made, root: FolderEmbedder())
    out = tmp_path / "out"
    options = ("--strategies", "margin,activedc", "--budgets", "3,6,12", "--seeds", 2, "--head", "linear,auto")
    options += ("--further", "20")
    code, text, err = run(folder, *options, "--out", out)
    assert code == 0, err
    for expected in ("margin, auto head", "random, linear head", "bad.png", "2 draws are too few", "activedc chooses"):
        assert expected in text
    with (out / "curves.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 2 * 2 * 3 + 2  # random alone goes on to 20 labels
    summary = json.loads((out / "summary.json").read_text())
    margin = next(arm for arm in summary["arms"] if (arm["strategy"], arm["head"]) == ("margin", "auto"))
    picked = [r for r in rows if (r["strategy"], r["head"], r["labels"]) == ("margin", "auto", "12")]
    assert margin["accuracy"][-1] == pytest.approx(np.mean([float(r["accuracy"]) for r in picked]), abs=1e-5)
    assert margin["area_gap"]["verdict"] == "cannot tell"
    assert list(summary["further"]) == ["20"] and len(margin["saved_at"]) == 3
    assert summary["base"] == "random, linear head" and summary["labels"] == [3, 6, 12]
    drawing = ElementTree.parse(out / "curves.svg")
    lines = drawing.getroot().findall("{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 6
    assert "margin, auto head" in (out / "report.html").read_text()
    again = run(folder, *options, "--json")
    loaded = json.loads(again[1])
    assert [arm["accuracy"] for arm in loaded["arms"]] == [rounded(arm["accuracy"]) for arm in summary["arms"]]


def test_a_renewal_trains_on_the_files_of_the_revealed_rows(folder, tmp_path):
    good, table, _ = folder_features(read_folder(folder), FolderEmbedder(), tmp_path / "cache")
    trainer, asked = FakeTrainer(), []

    def embedder(checkpoint):
        asked.append(checkpoint)
        return FolderEmbedder()

    gone, told = [], []

    def made(key):
        return renewer(
            good.references,
            good.classes,
            trainer,
            embedder,
            key=key,
            cache=tmp_path / "cache",
            forget=gone.append,
            report=lambda what, done, total: told.append((what, done, total)),
        )

    renew = made("k")
    rows = np.array([0, 5, 20, 40])
    held = np.array([1, 21])
    reveal = Reveal(rows, good.labels[rows], held, good.labels[held], "lp-ft", 0)
    vectors = renew(reveal)
    order = trainer.orders[-1]
    assert len(trainer.orders) == 2  # the fake needs two slices
    assert [example.image for example in order.train] == [good.references[row] for row in rows]
    assert [good.classes[example.label] for example in order.train] == [good.paths[row].parent.name for row in rows]
    assert [example.task_id for example in order.held_out] == held.tolist()
    assert asked == [f"{order.run}.safetensors"] == gone and vectors.shape == table.vectors.shape
    assert trainer.dropped == [order.run]
    assert told[0] == ("fine-tuning", 2, 4) and told[-1] == ("embedding anew", 42, 42)
    assert (renew(reveal) == vectors).all() and len(trainer.orders) == 2  # kept: not trained again
    for other in (
        lambda: renew(dataclasses.replace(reveal, seed=1)),
        lambda: renew(dataclasses.replace(reveal, method="ft")),
        lambda: renew(dataclasses.replace(reveal, train_labels=reveal.train_labels[::-1])),
        lambda: made("another recipe or backbone")(reveal),
    ):
        runs = {order.run for order in trainer.orders}
        other()
        assert trainer.orders[-1].run not in runs


def test_a_project_is_replayed_from_its_own_features_and_warns(tmp_path, run, monkeypatch):
    world = World(tmp_path)
    monkeypatch.setattr(wiring, "services", lambda settings: world.services)
    world.connect(60)
    code, _, err = run(LS_ID, "--rounds", 1)
    assert code == 2 and "no features" not in err and "two classes" in err
    world.embed_all()
    world.rank()
    world.label(*range(1, 41))
    code, text, err = run(LS_ID, "--strategies", "margin", "--rounds", 2, "--batch", 3, "--seeds", 1, "--json")
    assert code == 0, err
    found = json.loads(text)
    assert found["images"] == 40 and found["classes"] == ["zero", "one", "two"]
    assert "themselves chosen by a queue" in found["notes"][0]


def test_a_projects_features_are_renewed_with_its_own_images_and_loaders(tmp_path, run, monkeypatch):
    world = World(tmp_path, embedder=FakeEmbedder(gap=1.0, noise=1.0), options=Options())
    monkeypatch.setattr(wiring, "services", lambda settings: world.services)
    world.connect(340)
    world.embed_all()
    world.label(*range(1, 341))
    options = ("--strategies", "asvp-random", "--budgets", "120,150,200,250", "--seeds", 1, "--head", "linear")
    code, text, err = run(LS_ID, *options)
    assert code == 0, err
    assert "asvp-random, draw 0: at 200 labels by ft: better on" in text
    orders = len(world.trainer.orders)
    images = {task.id: task.image for task in world.services.tasks.list(world.project.id)}
    rows = world.services.features.load(world.project.id, 1).task_ids
    for example in (*world.trainer.orders[-1].train, *world.trainer.orders[-1].held_out):
        assert example.image == images[rows[example.task_id]] and example.label == rows[example.task_id] % 3
    assert run(LS_ID, *options)[1] == text and len(world.trainer.orders) == orders > 0  # kept


def test_what_cannot_be_simulated_is_said_in_one_line(run, folder):
    for options, expected in (
        ((folder, "--strategies", "nix"), "no selector named 'nix'"),
        ((folder, "--head", "nix"), "no head nix"),
        ((folder, "--budgets", "1,x"), "whole numbers"),
        ((folder, "--budgets", "9" * 5000), "whole numbers"),
        (("\u00b2",), "is no project's number"),
        (("9" * 5000,), "is no project's number"),
        (("no-such-folder",), "is no project's number"),
    ):
        code, _, err = run(*options)
        assert code == 2 and expected in err and len(err.strip().splitlines()) == 1


def test_intervals_that_hold_nothing_are_said_to_be_so():
    assert shown({"value": 0.1, "low": 0.05, "high": 0.2, "verdict": "better"}) == "+10.0% (+5.0 to +20.0)"
    wide = shown({"value": 0.1, "low": None, "high": 0.2, "verdict": "cannot tell"})
    assert wide == "+10.0% (no limit to +20.0), cannot tell"
    assert "not reached" in shown({"value": None, "low": None, "high": None, "verdict": "cannot tell"})


def test_the_axis_has_round_numbers_around_the_values():
    assert ticks(0.43, 0.79) == pytest.approx([0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8])
    assert ticks(0, 60) == [0, 10, 20, 30, 40, 50, 60]
    for low, high in ((0, 1), (0.501, 0.502), (3, 3), (0, 5000)):
        found = ticks(low, high)
        assert found[0] <= low and found[-1] >= high and len(found) <= 11


def test_one_stop_and_odd_names_can_be_drawn():
    text = draw([5], {"random": np.array([[0.2]]), "<&>": np.array([[0.4]])}, "a < b", base="random")
    root = ElementTree.fromstring(text)
    assert "<&>" in "".join(root.itertext()) and "a < b" in "".join(root.itertext())

"""`labelqueue simulate` with a real renewal: the backbone is fine-tuned, the folder embedded anew, and judged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.digits import digits, label_of

pytestmark = pytest.mark.slow
PIXELS = 32  # so few that the whole takes seconds, and the features as they come are poor
STOPS = "128,160,200"
CLI = "import sys; from backend.cli.main import main; sys.exit(main())"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "digits"
    for path in digits(tmp_path / "drawn", 300, pixels=PIXELS):
        (root / label_of(path)).mkdir(parents=True, exist_ok=True)
        path.rename(root / label_of(path) / path.name)
    return root


def test_asvp_renews_the_features_in_a_simulation_and_a_second_run_trains_nothing(folder: Path, tmp_path: Path) -> None:
    def run() -> dict[str, object]:
        command = [sys.executable, "-c", CLI, "simulate", str(folder), "--strategies", "asvp-margin"]
        options = ["--budgets", STOPS, "--seeds", "1", "--head", "linear", "--json"]
        home = {"LABELQUEUE_HOME": str(tmp_path / "home"), "IMAGE_SIZE": str(PIXELS), "DEVICE": "cpu"}
        done = subprocess.run([*command, *options], env=os.environ | home, capture_output=True, text=True, timeout=280)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    first = run()
    asvp = first["arms"][1]
    assert asvp["strategy"] == "asvp-margin"
    assert [item["what"].split(":")[0] for item in asvp["renewals"]] == ["at 200 labels by lp-ft"]
    kept = tmp_path / "home" / "simulations"
    renewed = list(kept.glob("simulation-*.npy"))
    assert len(renewed) == 1 and not list(kept.rglob("*.safetensors"))
    marks = {path: path.stat().st_mtime_ns for path in kept.iterdir()}
    second = run()
    assert [arm["accuracy"] for arm in second["arms"]] == [arm["accuracy"] for arm in first["arms"]]
    assert {path: path.stat().st_mtime_ns for path in kept.iterdir()} == marks

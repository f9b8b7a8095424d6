"""A real fine-tuning on 200 drawn digits makes better features; one on shuffled labels does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from backend.core.domain import Embedded
from backend.core.domain.training import Example, TrainingOrder
from backend.core.renewal.acceptance import compare_features
from backend.engine.checkpoints import Checkpoints
from backend.engine.embedder import open_embedder
from scripts.digits import digits, label_of
from selection.proxy.acceptance import Comparison
from tests.backend.finetune_orders import Files, never, order_of, trainer_at

pytestmark = pytest.mark.slow
SIDE = 64
EPOCHS = 12


def unseen(folder: Path) -> list[Example]:
    """300 digits that no order holds."""
    paths = digits(folder, 300, pixels=64, start=1000)
    return [Example(number, str(path), int(label_of(path))) for number, path in enumerate(paths)]


def features(examples: list[Example], backbone: str) -> NDArray[np.float16]:
    embedder = open_embedder(Files(), backbone=backbone, pixels=SIDE, device="cpu", precision="fp32")
    found = {
        r.task_id: r.vector
        for r in embedder.embed((n, (e.image,)) for n, e in enumerate(examples))
        if isinstance(r, Embedded)
    }
    embedder.close()
    return np.stack([found[number] for number in range(len(examples))])


def judge(backbone: str, order: TrainingOrder, images: Path) -> Comparison:
    """As the service does: the frozen and the tuned features, on digits that the training never saw."""
    train, rest = order.train, [*order.held_out, *unseen(images)]
    known = np.array([int(label_of(e.image)) for e in [*train, *rest]])
    old, new = (features([*train, *rest], name) for name in ("efficientnet-lite0", backbone))
    return compare_features(old, new, known, np.arange(len(known)) >= len(train), len(order.classes), seed=0)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("digits")


def test_lp_ft_of_200_digits_raises_held_out_accuracy_and_its_features_are_accepted(images: Path, tmp_path: Path):
    order = order_of(images, 200, epochs=EPOCHS)
    state = trainer_at(tmp_path, SIDE).slice(order, seconds=0, cancelled=never)
    while not state.finished:  # a fresh worker for each epoch would take long; two in all show that it goes on
        state = trainer_at(tmp_path, SIDE).slice(order, seconds=1e9, cancelled=never)
    frozen, *tuned = state.epochs
    best = min(tuned, key=lambda epoch: epoch.held_out_loss)
    assert best.accuracy > frozen.accuracy
    found = judge(Checkpoints(str(tmp_path)).resolve(state.checkpoint).backbone, order, images)
    assert found.better, found.reason


def test_a_fine_tuning_on_shuffled_labels_is_rejected(images: Path, tmp_path: Path) -> None:
    order = order_of(images, 200, epochs=EPOCHS, shuffle=True)
    state = trainer_at(tmp_path, SIDE).slice(order, seconds=1e9, cancelled=never)
    found = judge(Checkpoints(str(tmp_path)).resolve(state.checkpoint).backbone, order, images)
    assert not found.better and found.gain < 0, found.reason

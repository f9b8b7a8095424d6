"""Every image becomes a vector or a reason, whatever its neighbours are."""

from __future__ import annotations

import hashlib
import io
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from backend.adapters.images.source import ImageSource
from backend.core.domain import Backbone, Embedded, Failed
from backend.core.errors import BadImage, BadSetting, LabelStudioDown
from backend.engine.backbone import Network, open_backbone
from backend.engine.embedder import BatchEmbedder, open_embedder
from tests.harness.waiting import wait_for

SIDE = 32


class Means(nn.Module):
    """A tiny network that shows its input: the mean of each channel. Bright images overflow float16 on purpose."""

    def __init__(self, limit: int = 10**9) -> None:
        super().__init__()
        self.limit = limit
        self.batches: list[int] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.batches.append(len(images))
        if len(images) > self.limit:
            raise torch.OutOfMemoryError("too many")
        means = images.mean((2, 3))
        return torch.where(means > 0.9, torch.inf, means)


class Source:
    """Images by number: 7 -> a grey of that value; fetched ones are counted."""

    max_pixels = 1_000_000

    def __init__(self, delay: float = 0, patience: float = 10) -> None:
        self.delay = delay
        self.patience = patience  # seconds that a fetch is held at most
        self.fetched: list[str] = []
        self.hold = threading.Event()
        self.hold.set()

    def fetch(self, ref: str, task_id: int) -> bytes:
        self.fetched.append(ref)
        self.hold.wait(self.patience)
        time.sleep(self.delay)
        if ref == "down":
            raise LabelStudioDown("Label Studio does not answer")
        if not ref.isdigit():
            raise BadImage(f"{ref} is bad")
        return png(int(ref))


def png(value: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE), (value, value, value)).save(file, "PNG")
    return file.getvalue()


class Colours(nn.Module):
    """Vectors of different lengths and directions, by brightness."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = images.mean((1, 2, 3)) + 1.1  # 0.1 to 2.1
        return torch.stack([x, x * x, torch.cos(3 * x)], 1)


@pytest.fixture
def made() -> Iterator[Any]:
    opened: list[BatchEmbedder] = []

    def make(
        source: Any, model: nn.Module | None = None, batch: int = 8, lanes: int = 2, loaders: int = 4
    ) -> BatchEmbedder:
        network = Network(model or Means(), Backbone("means", "0", 3, SIDE), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
        options = {"batch": batch, "lanes": lanes, "loaders": loaders}
        opened.append(BatchEmbedder(source, network, network.model, torch.device("cpu"), torch.float32, **options))
        return opened[-1]

    yield make
    for embedder in opened:
        embedder.close()


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 100])
def test_each_image_gets_its_own_vector(made: Any, count: int) -> None:
    results = list(made(Source()).embed((number, (str(number),)) for number in range(count)))
    assert sorted(r.task_id for r in results) == list(range(count))
    for result in results:
        assert isinstance(result, Embedded) and result.vector.dtype == np.float16 and result.vector.shape == (3,)
        np.testing.assert_allclose(result.vector, (result.task_id / 255 - 0.5) * 2, atol=2e-3)
        assert result.digest == hashlib.sha256(png(result.task_id)).hexdigest()


def test_bad_images_are_failed_and_stop_nothing(made: Any) -> None:
    items = [(n, ("broken" if n % 3 == 0 else str(n),)) for n in range(50)]
    results = {r.task_id: r for r in made(Source()).embed(items)}
    assert len(results) == 50
    for number, result in results.items():
        assert isinstance(result, Failed if number % 3 == 0 else Embedded)
    assert results[3].reason == "broken is bad"


def test_a_task_of_several_images_gets_one_vector_of_them_in_any_order(made: Any) -> None:
    """(10-D3) Page 1 is not the task; a task of one image has the same vector as ever."""
    pages = {task: tuple(str(number) for number in range(task, task + task % 40)) for task in range(1, 60)}
    pages |= {60: ("10", "20"), 61: ("20", "10")}
    embedder = made(Source(), Colours())
    results = {r.task_id: r for r in embedder.embed((task, refs) for task, refs in pages.items() if refs)}
    assert set(results) == {task for task, refs in pages.items() if refs}
    single = {r.task_id: r.vector for r in embedder.embed((n, (str(n),)) for n in range(120))}
    for task, result in results.items():
        assert isinstance(result, Embedded) and result.note == ""
        vectors = np.stack([single[int(ref)] for ref in pages[task]]).astype(np.float64)
        lengths = np.linalg.norm(vectors, axis=1)
        wanted = (vectors / lengths[:, None]).mean(0) * lengths.mean()
        np.testing.assert_allclose(result.vector, vectors[0] if len(vectors) == 1 else wanted, rtol=3e-3, atol=3e-3)
    assert (results[1].vector == single[1]).all() and results[1].digest == hashlib.sha256(png(1)).hexdigest()
    assert (results[60].vector == results[61].vector).all() and results[60].digest != results[61].digest


def test_a_task_fails_only_if_none_of_its_images_can_be_read(made: Any) -> None:
    """(10-D3) What could not be read of one that is embedded is told."""
    items = [(1, ("bad", "7", "worse")), (2, ("bad", "worse")), (3, ("7",)), (4, ("255", "7"))]
    results = {r.task_id: r for r in made(Source()).embed(items)}
    assert isinstance(results[1], Embedded) and (results[1].vector == results[3].vector).all()
    assert results[1].note == "2 of its 3 images could not be read; image 1: bad is bad"
    assert isinstance(results[2], Failed)
    assert results[2].reason == "none of its 2 images can be read; image 1: bad is bad"
    assert isinstance(results[4], Embedded) and "image 1: the backbone gives values" in results[4].note


def test_values_that_are_not_finite_are_a_reason(made: Any) -> None:
    results = {r.task_id: r for r in made(Source()).embed([(1, ("255",)), (2, ("10",))])}
    assert isinstance(results[1], Failed) and "not finite" in results[1].reason
    assert isinstance(results[2], Embedded)


def test_label_studio_away_stops_the_pass_and_the_next_one_works(made: Any) -> None:
    embedder = made(Source())
    with pytest.raises(LabelStudioDown):
        list(embedder.embed([(n, ("down" if n >= 20 else str(n),)) for n in range(200)]))
    assert len(list(embedder.embed([(n, (str(n),)) for n in range(20)]))) == 20


def test_an_image_that_label_studio_does_not_hand_out_stops_nothing(made: Any) -> None:
    """(10-B5) Only several in a row mean that Label Studio is away."""
    results = {
        r.task_id: r for r in made(Source()).embed([(n, ("down" if n % 8 == 5 else str(n),)) for n in range(80)])
    }
    assert len(results) == 80
    for number, result in results.items():
        assert isinstance(result, Failed) == (number % 8 == 5)
    assert results[5].unanswered and results[5].reason == "Label Studio does not answer"


def test_what_waits_is_bounded_and_a_reader_that_leaves_stops_the_loading(made: Any) -> None:
    source = Source()
    embedder = made(source, batch=4, lanes=2, loaders=3)
    taken = 0

    def items() -> Iterator[tuple[int, tuple[str, ...]]]:
        nonlocal taken
        for number in range(10_000):
            taken += 1
            yield number, (str(number % 200),)

    results = embedder.embed(items())
    for _ in range(10):
        next(results)
    assert taken <= 10 + 3 + 5 * 2 * 4  # loaders, and the batches loaded, waiting, running and delivered
    results.close()
    fetched = len(source.fetched)
    assert fetched <= taken
    assert {r.task_id for r in embedder.embed([(5, ("5",))])} == {5}
    assert len(source.fetched) == fetched + 1


def test_images_are_loaded_side_by_side(made: Any) -> None:
    source = Source(patience=1)  # the first two fetches show that the server is slow: then all loaders fetch
    source.hold.clear()
    embedder = made(source, loaders=16)
    with ThreadPoolExecutor(1) as beside:
        results = beside.submit(lambda: list(embedder.embed((n, (str(n),)) for n in range(160))))
        try:
            wait_for(lambda: len(source.fetched) >= 16, 30, what="as many fetches as there are loaders")
        finally:
            source.hold.set()
        assert len(results.result(60)) == 160


@pytest.mark.parametrize("limit", [1, 3, 5])
def test_a_card_too_small_for_the_batch_gets_smaller_ones(made: Any, limit: int) -> None:
    model = Means(limit)
    embedder = made(Source(), model, batch=16, lanes=1)
    assert len(list(embedder.embed((n, (str(n),)) for n in range(64)))) == 64
    assert embedder._batch <= limit
    model.batches.clear()
    list(embedder.embed((n, (str(n),)) for n in range(16)))
    assert max(model.batches) <= limit


def test_a_card_too_small_for_one_image_is_an_error(made: Any) -> None:
    with pytest.raises(torch.OutOfMemoryError):
        list(made(Source(), Means(0)).embed([(1, ("1",))]))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for number in range(6):
        coarse = Image.fromarray(rng.integers(0, 256, (5, 7, 3), np.uint8))
        coarse.resize((150, 110), Image.Resampling.BICUBIC).save(folder / f"{number}.jpg", quality=95)
    (folder / "cut.jpg").write_bytes((folder / "0.jpg").read_bytes()[:900])
    (folder / "empty.jpg").touch()
    return folder


@pytest.mark.parametrize(("precision", "closeness"), [("fp32", 0.9999), ("bf16", 0.99), ("auto", 0.99)])
def test_the_whole_way_gives_the_plain_networks_features(pictures: Path, precision: str, closeness: float) -> None:
    images = ImageSource(label_studio_url="http://127.0.0.1:9", auth_headers=dict, local_root=pictures)
    embedder = open_embedder(images, pixels=96, device="cpu", precision=precision, threads=2, loaders=2, batch=4)
    names = ["0", "1", "2", "3", "4", "5", "cut", "empty"]
    found = {r.task_id: r for r in embedder.embed((n, (f"/data/local-files/?d={x}.jpg",)) for n, x in enumerate(names))}
    embedder.close()
    network = open_backbone(pixels=96)
    assert embedder.backbone == network.about and embedder.device.startswith("cpu, ")
    assert isinstance(found[6], Failed) and "truncated" in found[6].reason
    assert isinstance(found[7], Failed) and "0 bytes" in found[7].reason
    for number in range(6):
        image = Image.open(pictures / f"{number}.jpg").resize((96, 96), Image.Resampling.BICUBIC)
        rgb = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None] / 255
        with torch.inference_mode():
            wanted = network.model((rgb - 0.5) / 0.5)[0].numpy()
        result = found[number]
        assert isinstance(result, Embedded)
        vector = result.vector.astype(np.float32)
        assert wanted @ vector / np.linalg.norm(wanted) / np.linalg.norm(vector) > closeness


def test_settings_that_cannot_be_are_refused() -> None:
    images = ImageSource(label_studio_url="http://127.0.0.1:9", auth_headers=dict)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"precision": "int3"}, "auto, bf16 or fp32"),
        ({"batch": 0}, "batch must be at least 1"),
        ({"device": "toaster"}, "device toaster cannot be used"),
    ]
    for options, text in wrong:
        with pytest.raises(BadSetting, match=text):
            open_embedder(images, **options)

"""Images that hurt their decoder cost themselves: time, memory, crashes, kills."""

from __future__ import annotations

import os
import signal
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from backend.cli import simulate
from backend.core.domain.training import Example
from backend.core.errors import BadImage
from backend.engine.decoding import decoders
from backend.engine.decoding.decode import decode
from backend.engine.decoding.decoders import Decoders, DecodingBroken
from backend.engine.decoding.headers import PNG
from backend.engine.decoding.pixels import PLAIN_BYTES, memory_of, opened, plain
from backend.engine.finetune.images import Pictures
from backend.settings import Settings
from backend.wiring import services
from tests.backend.engine.test_decode import encode, photo, png_header
from tests.harness.waiting import wait_for

LIMIT = 4_000_000


@pytest.fixture(autouse=True)
def others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that other tests of this run left alive are not counted."""
    monkeypatch.setattr(f"{__name__}.OTHERS", frozenset(children()))


@pytest.fixture
def pool() -> Iterator[Decoders]:
    made = Decoders(LIMIT, 1.0)
    yield made
    made.close()


def noise(width: int = 300, height: int = 200) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


def scans(width: int, height: int, count: int) -> bytes:
    """A progressive JPEG whose last scan comes `count` times: a small file, and hours of one core if there are many."""
    data = encode(Image.new("RGB", (width, height), "red"), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * count + data[-2:]


def icon(inner: bytes) -> bytes:
    """An ICO file around a PNG, whatever size that has."""
    return struct.pack("<HHH4BHHII", 0, 1, 1, 0, 0, 0, 0, 1, 32, len(inner), 22) + inner


OTHERS: frozenset[int] = frozenset()


def children() -> list[int]:
    """Processes that any of our threads started in this test."""
    tasks = Path("/proc/self/task").iterdir()
    alive = [int(pid) for task in tasks for pid in (task / "children").read_text().split()]
    return [pid for pid in alive if pid not in OTHERS]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "PPM", "ICO"])
@pytest.mark.parametrize("size", [(640, 480), (37, 900), (33, 21)])
def test_a_process_gives_what_decoding_here_gives(pool: Decoders, kind: str, size: tuple[int, int]) -> None:
    data = encode(noise(*size), kind)
    assert torch.equal(pool(data, 96, LIMIT), decode(data, 96, LIMIT))


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "CMYK", "P", "I;16", "F"])
def test_a_picture_of_several_bands_is_the_same_in_every_mode(pool: Decoders, mode: str) -> None:
    """The plain way: the whole image converted at once."""
    grey = np.asarray(noise(1500, 1100).convert("L"))
    image = noise(1500, 1100).convert("L" if mode in ("I;16", "F") else "RGB" if mode == "P" else mode)
    if mode == "P":
        image = image.quantize(64)
    if mode == "I;16":
        image = Image.fromarray(grey.astype(np.uint16) * 256 + 7)
    if mode == "F":
        image = Image.fromarray(grey.astype(np.float32) / 255)
    whole = image.convert("RGB") if mode not in ("I;16", "F") else Image.fromarray(grey).convert("RGB")
    if mode in ("LA", "RGBA"):
        white = Image.new("RGBA", image.size, "white")
        whole = Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    made = pool(encode(image, "TIFF"), 1100, LIMIT)
    assert torch.equal(made, decode(encode(whole, "TIFF"), 1100, LIMIT))


def test_an_image_that_takes_too_long_is_ended_and_the_next_one_is_fine(pool: Decoders) -> None:
    """(10-B2) Many scans: refused by CPU time, with the cure."""
    with pytest.raises(BadImage, match=r"JPEG of 1900 x 1900 px took more than 1 CPU seconds .* raise IMAGE_SECONDS"):
        pool(scans(1900, 1900, 3000), 32, LIMIT)
    assert pool(encode(noise()), 32, LIMIT).shape == (32, 32, 3)


def test_others_are_decoded_while_one_image_is_slow() -> None:
    """(10-B2) One slow image holds one process."""
    pool = Decoders(LIMIT, 600.0, 2)

    def slowly() -> None:
        with suppress(BadImage, DecodingBroken):  # the latter if its second process is killed while it starts
            pool(scans(1900, 1900, 30_000), 32, LIMIT)

    slow = threading.Thread(target=slowly)
    slow.start()
    wait_for(lambda: len(children()) == 1, 30, what="the slow image's process")
    for _ in range(20):
        pool(encode(noise()), 32, LIMIT)
    assert slow.is_alive()
    while slow.is_alive():
        for pid in children():
            os.kill(pid, signal.SIGKILL)
        slow.join(0.05)
    pool.close()


def test_a_killed_process_is_no_proof_against_its_image(pool: Decoders, monkeypatch: pytest.MonkeyPatch) -> None:
    """(10-B4) One kill: tried again. Two: the words name the image and the cure."""
    data = encode(noise())
    go_on = decoders._Process.picture
    kills = iter([True, False, True, True])

    def killed(process: decoders._Process) -> object:
        if next(kills):
            process._process.kill()
            process._process.wait()
        return go_on(process)

    monkeypatch.setattr(decoders._Process, "picture", killed)
    monkeypatch.setattr(decoders, "PIPE_BYTES", 4096)  # else all of the answer is there before the kill
    assert pool(data, 32, LIMIT).shape == (32, 32, 3)
    with pytest.raises(BadImage, match=r"PNG of 300 x 200 px took more memory .* give the worker more memory"):
        pool(data, 32, LIMIT)


def test_processes_that_were_killed_while_idle_are_replaced(pool: Decoders) -> None:
    data = encode(noise())
    pool(data, 32, LIMIT)
    [pid] = children()
    os.kill(pid, signal.SIGKILL)
    assert pool(data, 32, LIMIT).shape == (32, 32, 3)
    assert pid not in children()


def test_a_process_is_used_again_and_close_ends_it(pool: Decoders) -> None:
    for _ in range(5):
        pool(encode(noise()), 32, LIMIT)
    assert len(children()) == 1
    pool.close()
    assert children() == []


def test_an_image_that_needs_more_memory_than_allowed_is_named_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    """(10-B4) The kernel refuses the process memory; the worker has its own."""
    lower = "import sys; sys.path[:] = {path!r}; from backend.engine.decoding import decoding_process as it; "
    monkeypatch.setattr(decoders, "START", lower + "it.memory_of = lambda pixels: 60_000_000; it.main()")
    pool = Decoders(100_000_000, 20.0)
    with pytest.raises(BadImage, match=r"PNG of 9000 x 8000 px took more memory .* save it smaller"):
        pool(encode(Image.new("RGB", (9000, 8000))), 32, 100_000_000)
    assert pool(encode(noise()), 32, LIMIT).shape == (32, 32, 3)
    pool.close()


def test_a_pool_that_cannot_start_blames_no_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoders, "START", "import sys; sys.exit(3)  # {path}")
    with pytest.raises(DecodingBroken, match="exit status 3"):
        Decoders(LIMIT, 1.0)(encode(noise()), 32, LIMIT)


@pytest.mark.parametrize(("width", "height"), [(1, 2_000_000), (4_000_000, 1), (3, 4001)])
def test_sides_too_unequal_are_refused_by_the_header(width: int, height: int) -> None:
    """(10-B1) Nothing is made of them."""
    with pytest.raises(BadImage, match=rf"{width} x {height} px: one side is more than 1000 times the other"):
        decode(png_header(width, height), 32, LIMIT)


@pytest.mark.parametrize(("size", "side"), [((40, 39_000), 1024), ((39_000, 40), 1024), ((3, 3000), 224)])
def test_a_strip_is_shrunk_before_it_is_stretched(size: tuple[int, int], side: int) -> None:
    """(10-B1) The same picture, within a rounding."""
    data = encode(photo(*size))
    wanted = np.asarray(photo(*size).resize((side, side), Image.Resampling.BICUBIC)).astype(int)
    assert np.abs(decode(data, side, LIMIT).numpy().astype(int) - wanted).max() <= 3


def test_what_a_container_would_decode_while_it_is_opened_is_looked_at_first(pool: Decoders) -> None:
    """(10-B1) ICO around a large PNG, and a WebP whose canvas is declared large."""
    canvas = bytearray(encode(noise(40, 40).convert("RGBA"), "WEBP", exif=b"Exif\0\0x"))
    canvas[24:30] = (16_000).to_bytes(3, "little") * 2
    lossy, lossless = bytearray(encode(noise(40, 40), "WEBP")), bytearray(encode(noise(40, 40), "WEBP", lossless=True))
    lossy[26:30] = struct.pack("<HH", 16_001 | 1 << 14, 16_001)
    lossless[21:25] = struct.pack("<I", 16_000 | 16_000 << 14)
    assert [bytes(data[12:16]) for data in (canvas, lossy, lossless)] == [b"VP8X", b"VP8 ", b"VP8L"]
    webps = [(bytes(data), "16001 x 16001") for data in (canvas, lossy, lossless)]
    for data, size in ((icon(png_header(30_000, 30_000)), "30000 x 30000"), *webps):
        with pytest.raises(BadImage, match=f"{size} px is over the limit of 4000000 pixels"):
            pool(data, 32, LIMIT)
    assert decode(icon(encode(noise(256, 256))), 32, LIMIT).shape == (32, 32, 3)


def text_chunks(count: int, length: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    whole = encode(noise(20, 20))
    return whole[:33] + chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(length))) * count + whole[33:]


@pytest.mark.parametrize(
    "data",
    [
        text_chunks(200, 1_000_000),
        text_chunks(2, 900_000_000 // 8),
        PNG + bytes(200_000),
        b"P6 99999999 99999999 255 " + bytes(100_000),
        b"GIF89a" + b"\xff" * 6 + b"!\xfe\x01x\0" * 200_000,
        b"\xff\xd8" + b"\xff\xe1\0\x02" * 200_000,
        b"BM" + b"\xff" * 100_000,
        b"II*\0\x08\0\0\0" + b"\xff" * 100_000,
    ],
    ids=["texts", "text", "png", "ppm", "gif", "jpeg", "bmp", "tiff"],
)
def test_headers_made_to_hurt_give_a_reason_and_leave_the_pool_whole(pool: Decoders, data: bytes) -> None:
    """(10-B1) Each in bounded memory and time."""
    with pytest.raises(BadImage):
        pool(data, 32, LIMIT)
    assert pool(encode(noise()), 32, LIMIT).shape == (32, 32, 3)


def test_only_small_jpegs_and_pngs_with_few_scans_and_pixels_are_decoded_here(pool: Decoders) -> None:
    """(10-B2) What may take long goes to a process; the way there costs small files a fifth more."""
    small = encode(photo(), "JPEG")
    assert plain(small) and plain(encode(photo())) and plain(encode(photo(), "JPEG", progressive=True))
    assert not plain(scans(60, 40, 40)) and not plain(encode(photo(), "WEBP")) and not plain(small + bytes(PLAIN_BYTES))
    pool(small, 32, LIMIT)
    assert children() == []
    wide = encode(Image.new("L", (1500, 1000)))
    assert plain(wide)  # by its length
    pool(wide, 32, LIMIT)
    assert len(children()) == 1


def test_the_memory_limit_holds_the_largest_image_allowed() -> None:
    assert memory_of(100_000_000) < 2 << 30
    with opened(encode(photo()), 32, LIMIT) as picture:
        assert picture.area == 2400 and not picture.big and picture.turn == 1


def test_an_image_that_takes_too_long_costs_one_image_of_a_training(caplog: pytest.LogCaptureFixture) -> None:
    """(10-B2) Training reads images as the embedder does: one that never ends is left out and named."""
    shown = [encode(noise(60, 40), "JPEG"), scans(1900, 1900, 3000), encode(noise(40, 60), "WEBP")]
    images = SimpleNamespace(max_pixels=LIMIT, fetch=lambda ref, task: shown[int(ref)])
    examples = [Example(10 + place, str(place), place % 2) for place in range(3)]
    pool = Decoders(LIMIT, 1.0)
    pictures = Pictures(images, examples, 32, decode=pool)
    pool.close()
    assert [example.task_id for example in pictures.examples] == [10, 12]
    assert "task 11 is not trained on: JPEG of 1900 x 1900 px took more than 1 CPU seconds" in caplog.text


def test_everything_that_reads_images_of_a_project_decodes_in_processes(tmp_path: Path) -> None:
    """(10-B2) Embedding and training, and so `simulate` of a project too, share one pool."""
    opened = services(Settings(home=tmp_path, _env_file=None))  # type: ignore[call-arg]
    assert isinstance(opened.embedder("")._decode, Decoders)  # type: ignore[attr-defined]
    assert opened.trainer()._decode is opened.embedder("")._decode  # type: ignore[attr-defined]


def test_a_folder_that_is_simulated_is_decoded_in_processes_too(tmp_path: Path) -> None:
    made = Settings(home=tmp_path, _env_file=None)  # type: ignore[call-arg]
    assert isinstance(simulate._embedder(made, tmp_path)._decode, Decoders)  # type: ignore[attr-defined]


def test_an_icon_whose_picture_hides_its_size_is_damaged(pool: Decoders) -> None:
    """(10-B1) A second header, or another chunk before the first, told the check another size than the decoder."""
    small, large = encode(noise(20, 20)), png_header(30_000, 30_000)
    twice = small[:33] + large[8:]
    text = text_chunks(1, 10)[33:]
    text = text[: text.index(b"IDAT") - 4]
    later = small[:8] + text + small[8:]
    for inner in (twice, small[:33] + text + large[8:], later):
        with pytest.raises(BadImage, match=r"damaged or cut off .the PNG in it does not begin with its one header"):
            pool(icon(inner), 32, LIMIT)
    assert pool(icon(text_chunks(1, 10)), 32, LIMIT).shape == (32, 32, 3)

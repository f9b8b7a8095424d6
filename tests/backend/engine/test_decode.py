"""Any bytes become a square RGB picture or a reason."""

from __future__ import annotations

import io
import re
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from backend.adapters.images.formats import FORMATS, NAMED, Format
from backend.core.errors import BadImage
from backend.engine.decoding.decode import decode
from backend.engine.decoding.pixels import READ

LIMIT = 1_000_000
SENSELESS = re.compile(r"b'|b\"|error -?\d|int\(\)|Error\b|Traceback")


def photo(width: int = 60, height: int = 40) -> Image.Image:
    """Smooth colours that differ in every corner."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return Image.fromarray((np.stack([x, y, 1 - x * y], 2) * 255).astype(np.uint8))


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def pixels(data: bytes, size: int = 32) -> NDArray[np.int64]:
    result = decode(data, size, LIMIT)
    assert result.shape == (size, size, 3) and result.is_contiguous()
    return result.numpy().astype(np.int64)


def wanted(image: Image.Image, size: int = 32) -> NDArray[np.int64]:
    return np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BICUBIC)).astype(np.int64)


def png_header(width: int, height: int, rows: bytes = b"") -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "PPM"])
@pytest.mark.parametrize("size", [(60, 40), (20, 300), (32, 32), (1, 1)])
def test_each_format_gives_pillows_picture(kind: str, size: tuple[int, int]) -> None:
    image = photo(*size)
    difference = np.abs(pixels(encode(image, kind)) - wanted(image))
    assert difference.mean() < (6 if kind == "GIF" else 4)


def test_a_large_jpeg_is_scaled_while_decoding_and_looks_the_same() -> None:
    image = photo(900, 700)
    assert np.abs(pixels(encode(image, "JPEG", quality=95)) - wanted(image)).max() <= 6


@pytest.mark.parametrize("turn", range(1, 9))
def test_the_orientation_in_exif_is_respected(turn: int) -> None:
    image = photo()
    exif = Image.Exif()
    exif[0x0112] = turn
    data = encode(image, "JPEG", exif=exif, quality=95)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert np.abs(pixels(data) - wanted(upright)).max() <= 8


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F"])
def test_each_mode_becomes_rgb(mode: str) -> None:
    grey = photo().convert("L")
    if mode == "I;16":
        image = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    else:
        image = (grey if mode in ("I", "F") else photo()).convert(mode)
    if mode == "I":
        image = Image.fromarray(np.asarray(image) * 257)
    expected = grey if mode in ("I", "I;16", "F") else image
    kind = "TIFF" if mode in ("CMYK", "YCbCr", "I", "F") else "PNG"
    assert np.abs(pixels(encode(image, kind)) - wanted(expected)).mean() < 3


def test_transparency_lies_on_white() -> None:
    clear = Image.new("RGBA", (40, 40), (255, 0, 0, 0))
    assert pixels(encode(clear)).min() == 255
    palette = Image.new("P", (40, 40), 1)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    assert pixels(encode(palette, transparency=1)).min() == 255
    assert pixels(encode(palette, transparency=bytes([255, 0]))).min() == 255


def test_an_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "blue", "lime")]
    for kind in ("GIF", "WEBP", "PNG"):
        data = encode(frames[0], kind, save_all=True, append_images=frames[1:], duration=50)
        assert pixels(data)[16, 16].tolist() == pytest.approx([255, 0, 0], abs=8)


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
@pytest.mark.parametrize("part", [0.05, 0.3, 0.6, 0.9])
def test_truncated_files_say_what_they_are_and_that_they_are_cut_off(form: Format, part: float) -> None:
    """(10-B1) The words name the kind and what to do, for all formats."""
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8))
    data = encode(image, form.pillow)
    with pytest.raises(BadImage, match=rf"^{form.name} of .* cannot be decoded: it is damaged.* cut off.*; save"):
        decode(data[: int(len(data) * part)], 32, LIMIT)


def test_a_cameras_jpeg_with_further_pictures_behind_it_gives_the_first() -> None:
    """(10-D) Many cameras, phones and drones write such files as .jpg."""
    file = io.BytesIO()
    first = photo()
    first.save(file, "MPO", quality=95, save_all=True, append_images=[Image.new("RGB", (640, 480), "red")])
    data = file.getvalue()
    assert data.startswith(b"\xff\xd8\xff") and Image.open(io.BytesIO(data)).format == "MPO"
    alone = encode(first, "JPEG", quality=95)
    np.testing.assert_allclose(pixels(data), pixels(alone), atol=2)
    with pytest.raises(BadImage, match=r"JPEG of .* cannot be decoded"):
        pixels(data[: len(alone) // 2])


@pytest.mark.parametrize("codec", ["tiff_lzw", "tiff_deflate", "jpeg", "packbits", "zstd", "lzma"])
def test_what_breaks_in_a_codec_of_tiff_is_told_in_words(codec: str) -> None:
    data = bytearray(encode(photo(), "TIFF", compression=codec))
    data[40:80] = b"\xff" * 40
    try:
        decode(bytes(data), 16, LIMIT)
    except BadImage as error:
        assert SENSELESS.search(str(error)) is None and "cannot be decoded" in str(error)


def test_the_formats_that_are_named_are_those_that_are_read() -> None:
    assert {form.pillow for form in FORMATS} == set(READ)
    text = (Path(__file__).resolve().parents[3] / "docs" / "operate.md").read_text()
    assert f"Images may be {NAMED}." in " ".join(text.split())
    for form in FORMATS:
        assert form.sign.match(encode(photo(), form.pillow)) and set(form.suffixes) <= set(
            Image.registered_extensions()
        )


@pytest.mark.parametrize("seed", range(20))
def test_scrambled_files_give_a_picture_or_a_reason(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for kind in ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "PPM", "ICO"):
        data = bytearray(encode(photo(), kind))
        for _ in range(rng.integers(1, 12)):
            data[rng.integers(len(data))] = rng.integers(256)
        try:
            assert decode(bytes(data), 16, LIMIT).shape == (16, 16, 3)
        except BadImage as error:
            assert SENSELESS.search(str(error)) is None and len(str(error)) < 300


@pytest.mark.parametrize("body", [b"no pixels", bytes(20_000 * 2501)])
def test_an_image_of_400_megapixels_is_refused_before_it_is_made(body: bytes) -> None:
    data = png_header(20_000, 20_000, body)
    tracemalloc.start()
    with pytest.raises(
        BadImage, match=r"20000 x 20000 px is over the limit of 100000000 pixels; raise MAX_IMAGE_PIXELS"
    ):
        decode(data, 224, 100_000_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not an image"),
        (b"hello", f"not an image of a known kind .5 bytes; {NAMED} are known"),
        (b"\r\n<!DOCTYPE html><html><body>log in</body></html>", "web page"),
        (b'<?xml version="1.0"?><svg></svg>', "SVG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", "not an image"),
        (b"\xff\xd8\xff\xe0", "^JPEG of 4 bytes cannot be decoded: it is damaged, cut off or of a rare form; save it"),
        (b"GIF89a", "^GIF of 6 bytes cannot be decoded"),
        (b"\0\0\0 ftypheic" + bytes(30), "HEIC photos are not read; save them as JPEG"),
        (b"%PDF-1.7", "a PDF is no image"),
    ],
)
def test_what_is_no_image_is_named(data: bytes, reason: str) -> None:
    with pytest.raises(BadImage, match=reason):
        decode(data, 32, LIMIT)

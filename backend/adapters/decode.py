"""Image bytes to square RGB, for any bytes: limits are checked in the header, before a pixel is made."""

from __future__ import annotations

import io
import struct
import threading
import zlib

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from backend.core.errors import BadImage

# Not EPS and its like, whose readers start programs.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM", "ICO")
BIG = 8_000_000  # pixels from which on images are decoded one at a time, so that memory stays bounded
ORIENTATION = 0x0112  # EXIF tag
TURNS = {2: (False, 0, True), 3: (False, 2, False), 4: (False, 2, True), 5: (True, 0, False)}
TURNS |= {6: (False, 3, False), 7: (True, 2, False), 8: (False, 1, False)}  # (transpose, quarter turns, mirror)
# What Pillow's readers raise for bytes that were made to hurt; a decoder is no place to be choosy.
DECODER_ERRORS = (
    *(OSError, SyntaxError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RuntimeError),
    *(EOFError, MemoryError, Warning, struct.error, zlib.error, Image.DecompressionBombError),
)
Image.init()  # a restricted list of formats is only known after this
Image.MAX_IMAGE_PIXELS = None  # our own limit is checked right after the header, with a text for people

_one_big = threading.Lock()


def decode(data: bytes, pixels: int, max_pixels: int) -> torch.Tensor:
    """The image as (pixels, pixels, 3) uint8, stretched to a square so that nothing of it is lost.

    The first frame of an animation; EXIF orientation applied; transparency on white; 16 bits cut to 8. JPEGs far larger
    than needed are decoded at a fraction of their size (exact DCT scaling; 10x faster at 12 megapixels).

    Raises `BadImage`: not an image, truncated, or more than `max_pixels`.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > max_pixels:
                size = f"{image.width} x {image.height} px"
                raise BadImage(f"{size} is over the limit of {max_pixels} pixels; raise MAX_IMAGE_PIXELS to allow it")
            image.draft("RGB", (pixels, pixels))
            if image.width * image.height < BIG:
                return _square(image, pixels)
            with _one_big:
                return _square(image, pixels)
    except UnidentifiedImageError as error:
        raise BadImage(_what(data)) from error
    except DECODER_ERRORS as error:
        raise BadImage(f"cannot be decoded: {str(error)[:150] or type(error).__name__}") from error


def _square(image: Image.Image, pixels: int) -> torch.Tensor:
    image.load()
    turn = image.getexif().get(ORIENTATION, 1)
    rgb = torch.from_numpy(_rgb(image))  # (h, w, 3)
    if rgb.shape[:2] != (pixels, pixels):
        planes = rgb.permute(2, 0, 1)[None]
        planes = torch.nn.functional.interpolate(planes, (pixels, pixels), mode="bicubic", antialias=True)
        rgb = planes[0].permute(1, 2, 0)  # (pixels, pixels, 3)
    if turn in TURNS:  # on a square that was stretched anyway, turning after the resize is the same and cheaper
        transpose, quarters, mirror = TURNS[turn]
        rgb = rgb.transpose(0, 1) if transpose else rgb
        rgb = torch.rot90(rgb, quarters, (0, 1))
        rgb = rgb.flip(1) if mirror else rgb
    return rgb.contiguous()


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    """(h, w, 3) uint8, writable, from any mode."""
    if image.mode.startswith("I") or image.mode == "F":
        return np.repeat(_grey(image)[..., None], 3, axis=2)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        coloured = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(ground, coloured)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _grey(image: Image.Image) -> NDArray[np.uint8]:
    """(h, w) of one deep channel: 16 bits lose the lower 8, as in a browser; floats are taken as 0..1 or 0..255."""
    deep = np.asarray(image)
    if image.mode == "F":
        finite = np.nan_to_num(deep.astype(np.float32), posinf=0, neginf=0)
        return np.clip(finite * (255 if finite.max() <= 1 else 1), 0, 255).astype(np.uint8)
    return (np.clip(deep.astype(np.int64), 0, 65535) >> 8).astype(np.uint8)


def _what(data: bytes) -> str:
    """What bytes that no reader knows seem to be."""
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(b"<svg") or (start.startswith(b"<?xml") and b"<svg" in start):
        return "SVG drawings are not supported; use PNG or JPEG"
    if start.startswith((b"<!doctype html", b"<html")) or b"<body" in start:
        return "not an image but a web page; is a login needed to see it?"
    return f"not an image of a known kind ({len(data)} bytes, JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF are known)"

"""Image bytes to RGB rows, with Pillow alone: light enough for a decoding process. Limits are checked in headers.

Memory at worst: a picture of the most pixels allowed, as its decoder and Pillow hold it (16 bytes a pixel at most), and
one band of rows; see `memory_of`. Ordinary JPEGs need 3 bytes for each pixel that is left after their scaling.
"""

from __future__ import annotations

import io
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from PIL import AvifImagePlugin, Image, UnidentifiedImageError

from backend.adapters.images.formats import FORMATS, kind_of, what
from backend.core.errors import BadImage
from backend.engine.decoding.headers import PNG, declared

READ = tuple(each.pillow for each in FORMATS)
BIG = 8_000_000  # pixels from which on images are decoded one at a time, so that memory stays bounded
MOST_RATIO = 1000  # of the sides: what is longer shows nothing once it is a square, and costs memory by its length
ORIENTATION = 0x0112  # EXIF tag
BAND_BYTES = 1 << 22
MIB = 1 << 20
PLAIN_BYTES, PLAIN_PIXELS, PLAIN_SCANS = 64 << 10, 1_000_000, 20  # at most about 0.2 s, 40 MB
_INTERNAL = re.compile(r"\bb['\"]|error -?\d|\b0x|\(\)|object")
JPEG, SCAN = b"\xff\xd8\xff", b"\xff\xda"
# What Pillow's readers raise for bytes that were made to hurt; a decoder is no place to be choosy.
DECODER_ERRORS = (
    *(OSError, SyntaxError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RuntimeError),
    *(EOFError, Warning, struct.error, zlib.error, Image.DecompressionBombError),
)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")  # a line for each odd tag of a camera
Image.init()  # a restricted list of formats is only known after this
Image.MAX_IMAGE_PIXELS = None  # our own limit is checked right after the header, with a text for people
AvifImagePlugin.DEFAULT_MAX_THREADS = 1


@dataclass(frozen=True, slots=True)
class Picture:
    """An opened image whose pixels are not made yet. `turn` is known after `rows`."""

    image: Image.Image
    about: str  # for people: "PNG of 300 x 200 px"
    area: int  # pixels by its header, before a JPEG's scaling

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of what `rows` gives."""
        return self.image.height, self.image.width

    @property
    def big(self) -> bool:
        """Whether it is so large that only one such image should be decoded at a time."""
        return self.image.width * self.image.height >= BIG

    @property
    def turn(self) -> int:
        """The orientation that EXIF tells, 1 to 8."""
        turn = self.image.getexif().get(ORIENTATION, 1)
        return turn if turn in range(1, 9) else 1

    def rows(self) -> Iterator[bytes]:
        """RGB bytes, band after band from the top. Transparency on white; 16 bits cut to 8."""
        self.image.load()
        width, height = self.image.size
        deep = self.image.mode.startswith("I") or self.image.mode == "F"
        factor = _factor(self.image) if self.image.mode == "F" else 1
        step = height if width * height * 4 <= BAND_BYTES else max(1, BAND_BYTES // (4 * width))
        for top in range(0, height, step):
            whole = step == height
            band = self.image if whole else self.image.crop((0, top, width, min(top + step, height)))
            yield _grey(band, factor) if deep else _rgb(band).tobytes()


def memory_of(max_pixels: int) -> int:
    """Bytes that decoding may take at most; beyond that it is refused."""
    return 192 * MIB + 16 * max_pixels


@contextmanager
def opened(data: bytes | bytearray, pixels: int, max_pixels: int) -> Iterator[Picture]:
    """The first frame, with JPEGs far larger than needed for `pixels` scaled down while decoding (exact DCT scaling).

    Raises `BadImage`, also for what goes wrong inside the block: not an image, truncated, more than `max_pixels`, sides
    too unequal, no memory.
    """
    kind = kind_of(data)  # not `Image.format`: a camera's JPEG with further pictures behind it is an "MPO" to Pillow
    about = f"{kind} of {len(data)} bytes"
    try:
        for width, height in declared(data):
            _check(width, height, max_pixels)
        with Image.open(io.BytesIO(data), formats=READ) as image:
            about = f"{kind} of {image.width} x {image.height} px"
            _check(image.width, image.height, max_pixels)
            area = image.width * image.height
            image.draft("RGB", (pixels, pixels))
            yield Picture(image, about, area)
    except UnidentifiedImageError as error:
        raise BadImage(what(data)) from error
    except MemoryError as error:
        raise BadImage(no_memory(about, max_pixels)) from error
    except DECODER_ERRORS as error:
        raise BadImage(_damaged(about, str(error))) from error


def plain(data: bytes) -> bool:
    """Whether opening costs next to nothing, and decoding too if `area` is at most PLAIN_PIXELS, whoever made it.

    That is so for JPEG and PNG files of a few KiB: their decoders work through the bytes once, a JPEG's once through
    the pixels for each scan, and whatever is packed in a PNG is a thousand times as long at most.
    """
    if len(data) > PLAIN_BYTES:
        return False
    return data.startswith(PNG) or (data.startswith(JPEG) and data.count(SCAN) <= PLAIN_SCANS)


def no_memory(about: str, max_pixels: int) -> str:
    """The reason when decoding took too much memory, and the cure."""
    most = memory_of(max_pixels) // MIB
    return (
        f"{about} took more memory to decode than there was (at most {most} MiB are allowed); "
        "save it smaller or as a plain JPEG, or give the worker more memory"
    )


def _damaged(about: str, said: str) -> str:
    """The reason when a decoder gave up; what it says is told too, unless it shows bytes or numbers of errors."""
    told = "" if not said or _INTERNAL.search(said) else f" ({said[:100]})"
    return f"{about} cannot be decoded: it is damaged or cut off{told}; save or upload it anew"


def _check(width: int, height: int, max_pixels: int) -> None:
    size = f"{width} x {height} px"
    if width * height > max_pixels:
        raise BadImage(f"{size} is over the limit of {max_pixels} pixels; raise MAX_IMAGE_PIXELS to allow it")
    if max(width, height) > MOST_RATIO * min(width, height):
        raise BadImage(f"{size}: one side is more than {MOST_RATIO} times the other; cut the image into pieces")


def _rgb(image: Image.Image) -> Image.Image:
    """Any mode but deep greys as RGB."""
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        coloured = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(ground, coloured)
    return image if image.mode == "RGB" else image.convert("RGB")


def _factor(image: Image.Image) -> int:
    """255 for floats that are all 0..1, else 1."""
    import numpy as np

    finite = np.asarray(image)
    return 255 if finite[np.isfinite(finite)].max(initial=0) <= 1 else 1


def _grey(image: Image.Image, factor: int) -> bytes:
    """RGB of one deep channel: 16 bits lose the lower 8, as in a browser; floats are taken as 0..1 or 0..255."""
    import numpy as np  # takes 0.1 s and 12 MB, which most decoding processes never need

    deep = np.asarray(image)
    if image.mode == "F":
        finite = np.nan_to_num(deep.astype(np.float32), posinf=0, neginf=0)
        grey = np.clip(finite * factor, 0, 255).astype(np.uint8)
    else:
        grey = (np.clip(deep.astype(np.int64), 0, 65535) >> 8).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2).tobytes()

"""What an image's header declares, read before any decoder gets the bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator

PNG = b"\x89PNG\r\n\x1a\n"
IHDR = b"\0\0\0\rIHDR"  # length and name of the chunk that comes first
LARGEST_SIDE = 0x3FFF  # of WebP without a canvas: 14 bits


def declared(data: bytes | bytearray) -> Iterator[tuple[int, int]]:
    """(width, height) of what Pillow decodes, or makes room for, while it opens the container: ICO and WebP.

    Raises `ValueError` for a PNG in an ICO whose header cannot be told from its first bytes.
    """
    if data[:4] == b"\0\0\1\0":
        yield from _icons(data)
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP" and len(data) >= 30:
        yield from _webp(data)


def _icons(data: bytes | bytearray) -> Iterator[tuple[int, int]]:
    for at in range(6, min(6 + 16 * int.from_bytes(data[4:6], "little"), len(data) - 15), 16):
        start = int.from_bytes(data[at + 12 : at + 16], "little")
        head = data[start : start + 24]
        if head.startswith(PNG) and len(head) == 24:
            if head[8:16] != IHDR or _again(data, start + 33):
                raise ValueError("the PNG in it does not begin with its one header")
            yield struct.unpack(">II", head[16:])
        elif len(head) == 24 and int.from_bytes(head[:4], "little") >= 40:
            width, height = struct.unpack("<ii", head[4:12])
            yield abs(width), abs(height) // 2  # the picture and its mask


def _again(data: bytes | bytearray, at: int) -> bool:
    """Whether another IHDR chunk comes before the pixels of a PNG: Pillow would believe the last one."""
    while (kind := data[at + 4 : at + 8]) not in (b"IDAT", b"IEND", b""):
        if kind == b"IHDR":
            return True
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return False


def _webp(data: bytes | bytearray) -> Iterator[tuple[int, int]]:
    """Of its three forms: a canvas (RFC 9649, 2.7), lossy (RFC 6386, 9.1), lossless (RFC 9649, 3.4)."""
    form, body = bytes(data[12:16]), data[20:30]
    if form == b"VP8X":
        yield int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    elif form == b"VP8 ":
        width, height = struct.unpack("<HH", body[6:])
        yield width & LARGEST_SIDE, height & LARGEST_SIDE  # the two bits above are a scale for players
    elif form == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        yield (bits & LARGEST_SIDE) + 1, (bits >> 14 & LARGEST_SIDE) + 1

"""The kinds of image files that we read: the one list, for the decoder, for folders, for errors and for the docs."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Format:
    """`name` is people's and `pillow` Pillow's; a file begins with `sign`."""

    name: str
    pillow: str
    suffixes: tuple[str, ...]
    sign: re.Pattern[bytes]


def _format(name: str, suffixes: str, sign: bytes) -> Format:
    return Format(name, name.upper(), tuple(suffixes.split()), re.compile(sign, re.DOTALL))


# Not EPS and its like, whose readers start programs.
FORMATS = (
    _format("JPEG", ".jpg .jpeg", rb"\xff\xd8\xff"),
    _format("PNG", ".png", rb"\x89PNG\r\n\x1a\n"),
    _format("WebP", ".webp", rb"RIFF....WEBP"),
    _format("GIF", ".gif", rb"GIF8[79]a"),
    _format("BMP", ".bmp", rb"BM"),
    _format("TIFF", ".tif .tiff", rb"II[*+]\0|MM\0[*+]"),
    _format("AVIF", ".avif", rb"....ftypavi[fs]"),
    _format("PPM", ".ppm .pgm .pbm .pnm", rb"P[1-6]\s"),
    _format("ICO", ".ico", rb"\x00\x00\x01\x00"),
)
SUFFIXES = frozenset(suffix for each in FORMATS for suffix in each.suffixes)
NAMED = ", ".join(each.name for each in FORMATS)

_OTHERS = (
    (rb"....ftyp(hei[cxms]|hev[cx]|mif1|msf1)", "HEIC photos are not read; save them as JPEG"),
    (rb"%PDF-", "a PDF is no image; save its pages as PNG or JPEG"),
    (rb"%!PS|\xc5\xd0\xd3\xc6", "not an image that is read: PostScript; use PNG or JPEG"),
)


def kind_of(data: bytes | bytearray) -> str:
    """Name of the format that a file's first bytes are of, or "image"."""
    return next((each.name for each in FORMATS if each.sign.match(data)), "image")


def what(data: bytes | bytearray) -> str:
    """Why bytes that no decoder opens are no image for us, with what to do, as far as their beginning tells."""
    start = bytes(data[:1024])
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(b"<svg") or (text.startswith(b"<?xml") and b"<svg" in text):
        return "SVG drawings are not supported; use PNG or JPEG"
    if text.startswith((b"<!doctype html", b"<html")) or b"<body" in text:
        return "not an image but a web page; is a login needed to see it?"
    for sign, words in _OTHERS:
        if re.match(sign, start, re.DOTALL):
            return words
    if (kind := kind_of(start)) != "image":
        why = "it is damaged, cut off or of a rare form; save it anew as PNG or JPEG"
        return f"{kind} of {len(data)} bytes cannot be decoded: {why}"
    return f"not an image of a known kind ({len(data)} bytes; {NAMED} are known)"

"""A process that decodes one image after the other, and may be ended at any time: started by `Decoders`, only there.

It knows Pillow and nothing else of ours: no torch, no secrets asked for, 20 MB. The kernel ends it when an image takes
more CPU time than allowed, wherever it is in a C library, and refuses it more memory than the largest image may need.

What goes over the pipes: READY at the start. Then, for each image, in: REQUEST, the bytes, and for a big one a byte
more as leave to go on; out: OPENED with its text, then PICTURE with its pixels, or BAD with the reason.
"""

from __future__ import annotations

import os
import resource
import signal
import struct
import sys
from contextlib import suppress
from io import FileIO
from pathlib import Path

from backend.core.errors import BadImage
from backend.engine.decoding.pixels import memory_of, opened

REQUEST = struct.Struct("<QI")  # length of the bytes, side of the square wanted
REPLY = struct.Struct("<BIII")  # kind, then: OPENED length, big | PICTURE height, width, turn | BAD length
OPENED, PICTURE, BAD = 1, 2, 3
READY = b"ready"


def main() -> None:
    """`decoding_process MAX_PIXELS CPU_SECONDS`; ends when its standard input does."""
    max_pixels, seconds = int(sys.argv[1]), float(sys.argv[2])
    given, wanted = FileIO(0), FileIO(1, "w")
    sys.stdout = sys.stderr  # nothing but answers goes there
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # they go to the worker, which needs us until it ends
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    _limit(max_pixels)
    _write(wanted, READY)
    while True:
        length, pixels = REQUEST.unpack(_read(given, REQUEST.size))
        data = _read(given, length)
        signal.setitimer(signal.ITIMER_PROF, seconds)
        _answer(given, wanted, data, pixels, max_pixels)
        signal.setitimer(signal.ITIMER_PROF, 0)


def _answer(given: FileIO, wanted: FileIO, data: bytearray, pixels: int, max_pixels: int) -> None:
    begun = False
    try:
        with opened(data, pixels, max_pixels) as picture:
            text = picture.about.encode()
            _write(wanted, REPLY.pack(OPENED, len(text), picture.big, 0) + text)
            if picture.big:
                _read(given, 1)
            rows = picture.rows()
            first = next(rows)  # what is broken shows here, for decoding comes first
            begun = True
            _write(wanted, REPLY.pack(PICTURE, *picture.size, picture.turn))
            _write(wanted, first)
            for band in rows:
                _write(wanted, band)
    except BadImage as error:
        if begun:
            os._exit(1)  # amid the pixels no answer would be understood
        text = str(error).encode()
        _write(wanted, REPLY.pack(BAD, len(text), 0, 0) + text)


def _limit(max_pixels: int) -> None:
    most = memory_of(max_pixels)
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":  # where memory runs out, we go first, not the worker
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000")


def _read(file: FileIO, length: int) -> bytearray:
    """`length` bytes; ends the process when the worker is gone."""
    data = bytearray(length)
    view, done = memoryview(data), 0
    while done < length:
        got = file.readinto(view[done:])
        if not got:
            os._exit(0)
        done += got
    return data


def _write(file: FileIO, data: bytes) -> None:
    view = memoryview(data)
    try:
        while view:
            view = view[file.write(view) :]
    except BrokenPipeError:  # the worker is gone
        os._exit(0)


if __name__ == "__main__":
    main()

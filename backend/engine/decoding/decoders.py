"""Decoding in processes that can be ended: whatever an image does to its decoder, it costs that image.

A C library cannot be interrupted in a thread; a process can, and its memory has a limit of its own.
"""

from __future__ import annotations

import fcntl
import io
import mmap
import os
import select
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from backend.adapters.images.formats import kind_of
from backend.core.errors import BadImage, LabelQueueError
from backend.engine.decoding.decode import pixels_of, square
from backend.engine.decoding.decoding_process import BAD, READY, REPLY, REQUEST
from backend.engine.decoding.pixels import PLAIN_PIXELS, no_memory, opened, plain

START = "import sys; sys.path[:] = {path!r}; from backend.engine.decoding.decoding_process import main; main()"
PIPE_BYTES = 1 << 20  # as much as Linux gives to anybody
PATIENCE = 20  # times the CPU seconds: a process that is silent for so long is stuck
OWN_MEMORY = 16 << 20  # bytes from which on pixels are kept outside of malloc, which keeps what it once had


class DecodingBroken(LabelQueueError):
    """No decoding process starts: no image is to blame."""


class Decoders:
    """A `Decode` with a pool of processes, started as they are needed and used again. Safe for threads.

    Parameters
    ----------
    max_pixels: of an image; sizes the memory limit of the processes (`pixels.memory_of`).
    seconds: CPU seconds for an image.
    most: processes; None: one a core this process may use, 2 at least and 16 at most. They take 20 MB each.
    """

    def __init__(self, max_pixels: int, seconds: float, most: int | None = None) -> None:
        self._max_pixels = max_pixels
        self._seconds = seconds
        self._free: list[_Process] = []
        self._room = threading.Semaphore(most or min(max(len(os.sched_getaffinity(0)), 2), 16))
        self._one_big = threading.Lock()

    def __call__(self, data: bytes, pixels: int, max_pixels: int) -> torch.Tensor:
        """The image as `decode.decode` makes it.

        A process that dies is no proof against an image: it may have been ended by anybody, so a second one tries. CPU
        time beyond the limit is proof. Plain small files are decoded here: for them the way there costs a fifth more
        than the decoding, and nothing in them takes long.
        """
        if plain(data):
            with opened(data, pixels, max_pixels) as picture:
                if picture.area <= PLAIN_PIXELS:
                    return pixels_of(picture, pixels)
        with self._room:
            for last in (False, True):
                process = self._take()
                try:
                    made = self._decode(process, data, pixels)
                except BadImage:
                    self._free.append(process)
                    raise
                except _Ended as ended:
                    if last or ended.code == -signal.SIGPROF:
                        raise BadImage(self._words(ended)) from ended
                    continue
                except BaseException:
                    process.end()
                    raise
                self._free.append(process)
                return made
        raise AssertionError("the second try returns or raises")

    def close(self) -> None:
        """End the processes that are free."""
        while process := self._pop():
            process.end()

    def _take(self) -> _Process:
        while process := self._pop():
            if process.alive:
                return process
            process.end()
        return _Process(self._max_pixels, self._seconds)

    def _pop(self) -> _Process | None:
        with suppress(IndexError):
            return self._free.pop()
        return None

    def _decode(self, process: _Process, data: bytes, pixels: int) -> torch.Tensor:
        if not process.open(data, pixels):
            return square(*process.picture(), pixels)
        with self._one_big:
            process.go_on()
            return square(*process.picture(), pixels)

    def _words(self, ended: _Ended) -> str:
        """Why an image has no picture, and the cure."""
        if ended.code == -signal.SIGPROF:
            return (
                f"{ended.about} took more than {self._seconds:g} CPU seconds to decode; save it in a plainer form "
                "(a JPEG with few scans, or PNG), or raise IMAGE_SECONDS"
            )
        if ended.code in (-signal.SIGKILL, None):
            return no_memory(ended.about, self._max_pixels)
        how = signal.Signals(-ended.code).name if ended.code < 0 else f"exit status {ended.code}"
        return f"{ended.about} ends the process that decodes it ({how}): the file is damaged; save it anew"


class _Ended(Exception):
    """A decoding process is gone. `code`: its exit status, None if it was stuck; `about`: what it was at."""

    def __init__(self, code: int | None, about: str) -> None:
        super().__init__(f"the decoding process ended with {code}")
        self.code = code
        self.about = about


class _Process:
    """One decoding process. After `_Ended` it is of no use."""

    def __init__(self, max_pixels: int, seconds: float) -> None:
        path = [folder for folder in sys.path if folder]  # never the working folder, which may hold anything
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", START.format(path=path), str(max_pixels), str(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        assert self._process.stdin and self._process.stdout
        self._given = cast(io.FileIO, self._process.stdin)
        self._answers = cast(io.FileIO, self._process.stdout)
        self._patience = max(PATIENCE * seconds, 60)
        self._about = ""
        if sys.platform == "linux":
            for file in (self._given, self._answers):
                with suppress(OSError):  # beyond what this user may have; it works without
                    fcntl.fcntl(file, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        try:
            self._read(len(READY))
        except _Ended as ended:
            raise DecodingBroken(
                f"the decoding process does not start (exit status {ended.code}); see the log"
            ) from ended

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def open(self, data: bytes, pixels: int) -> bool:
        """Hand over an image; whether it is big, so that `go_on` has to come before `picture`."""
        self._about = f"{kind_of(data)} of {len(data)} bytes"
        self._write(REQUEST.pack(len(data), pixels))
        self._write(data)
        _, length, big, _ = self._reply()
        self._about = self._read(length).decode()
        return bool(big)

    def go_on(self) -> None:
        """Leave to make the pixels of a big image."""
        self._write(b"!")

    def picture(self) -> tuple[NDArray[np.uint8], int]:
        """Pixels (height, width, 3) and the orientation."""
        _, height, width, turn = self._reply()
        length = height * width * 3
        room = mmap.mmap(-1, length) if length >= OWN_MEMORY else bytearray(length)
        self._fill(memoryview(room))
        return np.frombuffer(room, np.uint8).reshape(height, width, 3), turn

    def end(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.wait()
        self._given.close()
        self._answers.close()

    def _reply(self) -> tuple[int, int, int, int]:
        waiting = select.poll()
        waiting.register(self._answers, select.POLLIN)
        if not waiting.poll(self._patience * 1000):
            self.end()
            raise _Ended(None, self._about)
        kind, first, second, third = REPLY.unpack(self._read(REPLY.size))
        if kind == BAD:
            raise BadImage(self._read(first).decode())
        return kind, first, second, third

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[self._given.write(view) :]
        except BrokenPipeError:
            raise self._ended() from None

    def _read(self, length: int) -> bytearray:
        self._fill(memoryview(data := bytearray(length)))
        return data

    def _fill(self, view: memoryview) -> None:
        while view:
            got = self._answers.readinto(view)
            if not got:
                raise self._ended()
            view = view[got:]

    def _ended(self) -> _Ended:
        code = self._process.wait()
        self.end()
        return _Ended(code, self._about)

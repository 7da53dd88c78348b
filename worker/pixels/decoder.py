"""Decoding of images that may take long or much memory, in a separate process that is killed at a deadline."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from jobs.configuration.settings import Settings
from jobs.errors import CaptionqError, EngineError, ImageError, ImageTooSlowError
from jobs.images.opening import name_of, refuse_memory
from jobs.own_process import start_helper
from worker.pixels.decode import Picture
from worker.pixels.decoder_process import READY, Order, Pixels

#: Seconds that the process may take to start.
_START_SECONDS = 120.0
#: Seconds between two checks of the process's memory.
_MEMORY_CHECK_SECONDS = 0.1


class Decoder:
    """A decoder of one image at a time, so that images share the memory limit of one. Thread-safe.

    The process starts with the first image, and again after it was killed.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._turn = threading.Lock()
        #: The lock of `_process` and `_closed`, which `close` reads while an image is decoded.
        self._state = threading.Lock()
        self._process: _Process | None = None
        self._closed = False

    def decode(self, source: Path | bytes, *, max_pixels: int | None = None, name: str | None = None) -> Picture:
        """Decode an image to at most `max_pixels`, or as the settings say; see `worker.pixels.decode.decode_picture`.

        Raises:
            ImageTooSlowError: The image takes longer than the settings allow.
            ImageTooLargeError: The image takes more memory than the settings allow.
            ImageError: The image cannot be decoded, or crashes the process.
            EngineError: The process does not start, or the decoder is closed.
        """
        return self.decode_frames(source, max_pixels=max_pixels, name=name)[0]

    def decode_frames(
        self, source: Path | bytes, *, max_pixels: int | None = None, name: str | None = None, frames: int = 1
    ) -> list[Picture]:
        """Decode an image as `decode` does, or at most `frames` pictures of a video or a PDF. Raises its errors."""
        name = name or name_of(source)
        with self._turn:
            answer = self._answer(Order(source, max_pixels, name, frames))
        if isinstance(answer, CaptionqError):
            raise answer
        return [pixels.picture() for pixels in answer]

    def close(self) -> None:
        """Kill the process, also while it decodes."""
        with self._state:
            self._closed = True
            if self._process is not None:
                self._process.popen.kill()
        with self._turn:
            self._drop()

    def _answer(self, order: Order) -> list[Pixels] | CaptionqError:
        process = self._running()
        answered = False
        try:
            process.wait_until_ready()
            try:
                process.connection.send(order)
                answer = self._awaited(process, order.name)
            except (EOFError, ConnectionError):
                raise ImageError(f"{order.name} cannot be decoded: its decoder crashed.") from None
            answered = True
            return answer
        finally:
            if not answered:
                self._drop()

    def _awaited(self, process: _Process, name: str) -> list[Pixels] | CaptionqError:
        seconds = self._settings.decode_seconds
        deadline = time.monotonic() + seconds
        while not process.connection.poll(_MEMORY_CHECK_SECONDS):
            if time.monotonic() > deadline:
                raise ImageTooSlowError(f"{name} takes longer than {seconds:g} s to decode (CAPTIONQ_DECODE_SECONDS).")
            if resident_bytes(process.popen.pid) - process.resident_when_ready > self._settings.decode_memory:
                refuse_memory(name, self._settings)
        answer: list[Pixels] | CaptionqError = process.connection.recv()
        return answer

    def _running(self) -> _Process:
        with self._state:
            if self._closed:
                raise EngineError("The worker is stopping.")
            if self._process is None:
                self._process = _start(self._settings)
            return self._process

    def _drop(self) -> None:
        """Kill the process. The calling thread must hold `_turn`."""
        with self._state:
            process, self._process = self._process, None
        if process is not None:
            process.popen.kill()
            process.popen.wait()
            process.connection.close()


@dataclass
class _Process:
    popen: subprocess.Popen[bytes]
    connection: Connection
    is_ready: bool = False
    #: Bytes of memory before the first image.
    resident_when_ready: int = 0

    def wait_until_ready(self) -> None:
        """Wait until the process can decode. Raises EngineError if it does not start."""
        if self.is_ready:
            return
        try:
            if not self.connection.poll(_START_SECONDS):
                raise EngineError(f"The decoder process did not start within {_START_SECONDS:g} s.")
            self.is_ready = self.connection.recv() == READY
        except (EOFError, ConnectionError):
            raise EngineError("The decoder process ended before it was ready.") from None
        self.resident_when_ready = resident_bytes(self.popen.pid)


def _start(settings: Settings) -> _Process:
    popen, connection = start_helper("worker.pixels.decoder_process")
    connection.send(settings)
    return _Process(popen, connection)


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process in bytes; 0 if it has ended."""
    statm = Path(f"/proc/{pid}/statm")
    try:
        if statm.exists():
            return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return _told_by_ps(pid)
    except (OSError, ValueError, IndexError):
        return 0


def _told_by_ps(pid: int) -> int:
    """Return the resident memory of a process in bytes, as macOS tells it. Raises ValueError if the process has ended."""
    command = ["/bin/ps", "-o", "rss=", "-p", str(pid)]
    # Without `close_fds`, Python starts it by posix_spawn: a process that uses Metal must not be forked.
    return int(subprocess.run(command, capture_output=True, close_fds=False, check=False).stdout) * 1024

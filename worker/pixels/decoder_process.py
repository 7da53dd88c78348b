"""The process that decodes slow and large images for the worker.

The process reads orders from a socket and answers each with pixels or an error, until the worker closes its end.
"""

from __future__ import annotations

import os
import resource
import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from PIL import Image

from jobs.configuration.settings import Settings
from jobs.errors import CaptionqError
from worker.pixels.decode import Picture, decode_pictures, with_max_pixels

#: The first message to the worker: the process is ready to take orders.
READY = "ready"
#: Seconds past the deadline after which the process ends itself: a live worker would have killed it by then.
_OVERTIME = 2.0
_STATM = Path("/proc/self/statm")


@dataclass(frozen=True)
class Order:
    """An order to decode an image; see `worker.pixels.decode.decode_pictures`."""

    source: Path | bytes
    #: None: as the settings say.
    max_pixels: int | None
    name: str
    frames: int = 1


@dataclass(frozen=True)
class Pixels:
    """The pixels of a decoded image: RGB, from the top line to the bottom."""

    size: tuple[int, int]
    data: bytes
    #: See `Picture`.
    flaw: str | None

    def picture(self) -> Picture:
        """Make a picture of the pixels."""
        return Picture(Image.frombytes("RGB", self.size, self.data), self.flaw)


def main(descriptor: int) -> None:
    """Serve the worker at the other end of the socket with this file descriptor."""
    with Connection(descriptor) as worker:
        try:
            settings: Settings = worker.recv()
            worker.send(READY)
            _limit_memory(settings.decode_memory)
            while True:
                order: Order = worker.recv()
                signal.setitimer(signal.ITIMER_REAL, settings.decode_seconds + _OVERTIME)
                answer = _decoded(order, settings)
                signal.setitimer(signal.ITIMER_REAL, 0)
                worker.send(answer)
        except (EOFError, ConnectionError):
            # The worker has closed its end, or is dead.
            return


def _decoded(order: Order, settings: Settings) -> list[Pixels] | CaptionqError:
    try:
        limits = with_max_pixels(settings, order.max_pixels)
        pictures = decode_pictures(order.source, limits, name=order.name, frames=order.frames)
    except CaptionqError as error:
        return error
    return [Pixels(picture.image.size, picture.image.tobytes(), picture.flaw) for picture in pictures]


def _limit_memory(size: int) -> None:
    """Limit further allocations to `size` bytes on Linux, which says how much is allocated. Elsewhere only the worker checks."""
    if _STATM.exists():
        # In pages: size, resident, shared, text, library, data.
        data = int(_STATM.read_text().split()[5]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_DATA, (data + size, resource.RLIM_INFINITY))

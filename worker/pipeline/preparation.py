"""What happens to requests before the model sees them: their images are fetched and decoded, beside it, in threads."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    CancelledError,
    Executor,
    Future,
    InvalidStateError,
    ThreadPoolExecutor,
    wait,
)
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from PIL import Image

from jobs.images.blobs import SCHEME
from jobs.images.sources import image_source
from jobs.requests import ImageURL, Request
from jobs.settings import Settings
from worker.models.inputs import Prepared
from worker.pipeline.decoder import Decoder
from worker.pipeline.preprocess import decode_if_quick

#: Seconds that `wait` takes at most.
PATIENCE = 0.05
#: Seconds for which `wait_for_urgent` waits for a request, from when it began.
URGENT_PATIENCE = 0.1
#: Requests whose pictures are fetched from the net at a time: of those that are urgent, and of the others.
NET_THREADS = 16

#: From a request and its decoded images to what the model takes. Called in any thread.
Prepare = Callable[[Request, list[Image.Image]], Prepared]
#: The preparation of one request, up to each change of threads.
Steps: TypeAlias = Generator[Executor, None, Prepared]


@dataclass
class Preparation:
    """One request that is being prepared."""

    key: str
    urgent: bool
    #: Whether somebody reads along.
    followed: bool
    #: Whether its pictures come from the net.
    fetched: bool
    future: Future[Prepared] = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)
    #: What it took, once it is done.
    seconds: float = 0.0
    #: Nobody wants it any more: what has begun of it goes no further than the picture that it is at.
    dropped: bool = False


class PreparationPool:
    """All that is being prepared. To be used from one thread."""

    def __init__(self, settings: Settings, prepare: Prepare) -> None:
        self._settings = settings
        self._prepare = prepare
        #: By whether somebody waits for the answer: who does, does not wait for the pictures of a folder.
        self._decoding = {
            False: ThreadPoolExecutor(settings.preprocess_threads, thread_name_prefix="preprocess"),
            True: ThreadPoolExecutor(1, thread_name_prefix="preprocess-urgent"),
        }
        #: Nor for the slow servers that theirs come from. These threads only wait: a picture is large once it is decoded.
        self._fetching = {
            urgent: ThreadPoolExecutor(NET_THREADS, thread_name_prefix="fetch") for urgent in (False, True)
        }
        #: Pictures that are slow or large keep no other waiting. These threads wait for the process that decodes them.
        self._decoding_beside = {
            urgent: ThreadPoolExecutor(1, thread_name_prefix="decode-beside") for urgent in (False, True)
        }
        self._decoder = Decoder(settings)
        self._under_way: deque[Preparation] = deque()

    def __len__(self) -> int:
        return len(self._under_way)

    @property
    def keys(self) -> list[str]:
        return [preparation.key for preparation in self._under_way]

    @property
    def has_bulk(self) -> bool:
        """Whether there are some that nobody waits for."""
        return any(not preparation.urgent for preparation in self._under_way)

    def begin(self, key: str, request: Request, *, urgent: bool, followed: bool, roots: Sequence[Path] | None) -> None:
        """`roots`: its images may be read from below these alone."""
        fetched = any(_is_remote(image) for image in request.images)
        preparation = Preparation(key, urgent, followed, fetched)
        threads = (self._fetching if fetched else self._decoding)[urgent]
        threads.submit(self._advance, preparation, self._steps(request, preparation, roots), threads)
        self._under_way.append(preparation)

    def wait(self) -> None:
        """Until one is done, for a moment at most."""
        wait([one.future for one in self._under_way], timeout=PATIENCE, return_when=FIRST_COMPLETED)

    def wait_for_urgent(self) -> None:
        """Until an urgent one is done, if one has just begun. A picture from the net takes longer, and holds nobody up."""
        urgent = [one for one in self._under_way if one.urgent and not one.fetched]
        if urgent:
            left = urgent[-1].since + URGENT_PATIENCE - time.monotonic()
            wait([one.future for one in urgent], timeout=max(0.0, left), return_when=FIRST_COMPLETED)

    def done(self) -> list[Preparation]:
        """Those that are done, or have failed: urgent ones first, else in the order in which they began."""
        done = [preparation for preparation in self._under_way if preparation.future.done()]
        return sorted(done, key=lambda preparation: not preparation.urgent)

    def remove(self, preparation: Preparation) -> None:
        """It has been taken over."""
        self._under_way.remove(preparation)

    def drop(self, key: str) -> None:
        """Nobody wants it any more."""
        for preparation in [one for one in self._under_way if one.key == key]:
            preparation.dropped = True
            preparation.future.cancel()
            self._under_way.remove(preparation)

    def close(self) -> None:
        """Drop all, and wait for what the threads are at."""
        for key in self.keys:
            self.drop(key)
        self._decoder.close()
        for threads in (*self._fetching.values(), *self._decoding_beside.values(), *self._decoding.values()):
            threads.shutdown(cancel_futures=True)

    def _advance(self, preparation: Preparation, steps: Steps, here: Executor) -> None:
        """Do all steps that belong to these threads, and hand the rest on. No thread waits for another."""
        if preparation.dropped:
            return
        begun = time.perf_counter()
        try:
            while (threads := next(steps)) is here:
                pass
        except StopIteration as end:
            preparation.seconds += time.perf_counter() - begun
            _settle(preparation.future.set_result, end.value)
        except Exception as error:
            _settle(preparation.future.set_exception, error)
        else:
            preparation.seconds += time.perf_counter() - begun
            if not preparation.dropped:
                threads.submit(self._advance, preparation, steps, threads)

    def _steps(self, request: Request, preparation: Preparation, roots: Sequence[Path] | None) -> Steps:
        """Prepare a request; yields the threads that are to go on with it."""
        urgent = preparation.urgent
        images: list[Image.Image] = []
        for image in request.images:
            if _is_remote(image):
                yield self._fetching[urgent]
            if preparation.dropped:
                raise CancelledError
            source = image_source(image.url, self._settings, roots)
            yield self._decoding[urgent]
            images.append((yield from self._decoded(image, source, urgent)))
        return self._prepare(request, images)

    def _decoded(self, image: ImageURL, source: Path | bytes, urgent: bool) -> Generator[Executor, None, Image.Image]:
        # A blob's file is called by its content.
        name = "The image" if image.url.startswith(SCHEME) else None
        low_detail = image.detail == "low"
        decoded = decode_if_quick(source, self._settings, low_detail=low_detail, name=name)
        if decoded is None:
            yield self._decoding_beside[urgent]
            decoded = self._decoder.decode(source, low_detail=low_detail, name=name)
            yield self._decoding[urgent]
        return decoded


def _is_remote(image: ImageURL) -> bool:
    return image.url.lower().startswith(("http:", "https:"))


def _settle(settle: Callable[[Any], None], value: object) -> None:
    # A request may be dropped at any moment.
    with suppress(InvalidStateError):
        settle(value)

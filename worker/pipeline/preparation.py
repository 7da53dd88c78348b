"""Preparation of requests in threads, beside the model: their images are downloaded and decoded, their prompts tokenised."""

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
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

from PIL import Image

from jobs.configuration.settings import Settings
from jobs.images.sources import image_source
from jobs.images.stored.blobs import SCHEME
from jobs.objects.paths import is_object_address
from jobs.requests import ImageURL, Request
from worker.models.inputs import Prepared
from worker.pixels.decode import Picture, decode_if_quick, with_max_pixels
from worker.pixels.decoder import Decoder

#: Seconds that `wait` takes at most.
WAIT_SECONDS = 0.05
#: Seconds after the beginning of an urgent request until which `wait_for_urgent` waits for it.
URGENT_WAIT_SECONDS = 0.1
#: Requests whose images are downloaded at a time: this many urgent requests, and this many others.
NET_THREADS = 16

#: A function from a request and its decoded images to the model's inputs. Called in any thread.
Prepare = Callable[[Request, list[Image.Image]], Prepared]
#: The steps of one preparation. Each step yields the threads on which the next step has to run.
Steps: TypeAlias = Generator[Executor, None, Prepared]


@dataclass
class Preparation:
    """A request that is being prepared."""

    key: str
    urgent: bool
    #: Whether a client reads the answer as it grows.
    followed: bool
    #: Whether its images are downloaded.
    fetched: bool
    #: Whether an answer with changed settings will do, if the question's own had a flaw.
    mended: bool = False
    future: Future[Prepared] = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)
    #: Seconds of work for the preparation, once it is done.
    seconds: float = 0.0
    #: Whether the request was dropped: the preparation then ends after the image that it is at.
    dropped: bool = False


class PreparationPool:
    """The threads that prepare requests, and the requests that are being prepared. To be used from one thread."""

    def __init__(self, settings: Settings, prepare: Prepare) -> None:
        self._settings = settings
        self._prepare = prepare
        #: Threads by urgency: an urgent request does not wait for the images of a folder.
        self._decoding = {
            False: ThreadPoolExecutor(settings.preprocess_threads, thread_name_prefix="preprocess"),
            True: ThreadPoolExecutor(1, thread_name_prefix="preprocess-urgent"),
        }
        #: Threads by urgency that wait for servers, so that slow servers delay no other request. They hold no decoded image.
        self._fetching = {
            urgent: ThreadPoolExecutor(NET_THREADS, thread_name_prefix="fetch") for urgent in (False, True)
        }
        #: Threads by urgency that wait for the decoder process, so that slow or large images delay no other request.
        self._decoding_beside = {
            urgent: ThreadPoolExecutor(1, thread_name_prefix="decode-beside") for urgent in (False, True)
        }
        self._decoder = Decoder(settings)
        self._under_way: deque[Preparation] = deque()

    def __len__(self) -> int:
        return len(self._under_way)

    @property
    def keys(self) -> list[str]:
        """The keys of the requests that are being prepared."""
        return [preparation.key for preparation in self._under_way]

    @property
    def has_bulk(self) -> bool:
        """Whether a request that is not urgent is being prepared."""
        return any(not preparation.urgent for preparation in self._under_way)

    @property
    def urgent_coming(self) -> bool:
        """Whether an urgent request will be prepared soon. Downloads take longer."""
        return any(one.urgent and not one.fetched for one in self._under_way)

    def begin(
        self,
        key: str,
        request: Request,
        *,
        urgent: bool,
        followed: bool,
        roots: Sequence[Path] | None,
        mended: bool = False,
    ) -> None:
        """Begin to prepare a request.

        Args:
            key: The request's key.
            request: The request.
            urgent: Use the threads for urgent requests.
            followed: Whether a client reads the answer as it grows.
            roots: The only folders from which its images may be read; None: any.
            mended: Whether an answer with changed settings will do, if the question's own had a flaw.
        """
        fetched = any(_is_remote(image) for image in request.images)
        preparation = Preparation(key, urgent, followed, fetched, mended)
        threads = (self._fetching if fetched else self._decoding)[urgent]
        threads.submit(self._advance, preparation, self._steps(request, preparation, roots), threads)
        self._under_way.append(preparation)

    def wait(self) -> None:
        """Wait until a preparation is done, for at most WAIT_SECONDS."""
        wait([preparation.future for preparation in self._under_way], timeout=WAIT_SECONDS, return_when=FIRST_COMPLETED)

    def wait_for_urgent(self) -> None:
        """Wait until an urgent request is prepared, if one has just begun. Downloads take longer, and are not waited for."""
        urgent = [waiting for waiting in self._under_way if waiting.urgent and not waiting.fetched]
        if urgent:
            left = urgent[-1].since + URGENT_WAIT_SECONDS - time.monotonic()
            wait([waiting.future for waiting in urgent], timeout=max(0.0, left), return_when=FIRST_COMPLETED)

    def done(self) -> list[Preparation]:
        """Return the preparations that are done or have failed: urgent ones first, each in the order of their beginning."""
        done = [preparation for preparation in self._under_way if preparation.future.done()]
        return sorted(done, key=lambda preparation: not preparation.urgent)

    def remove(self, preparation: Preparation) -> None:
        """Remove a preparation whose result was taken."""
        self._under_way.remove(preparation)

    def put_back(self, preparations: Sequence[Preparation]) -> None:
        """Put back preparations that are done, ahead of all others: their results were not used."""
        self._under_way.extendleft(reversed(preparations))

    def drop(self, key: str) -> None:
        """Drop a request: the preparation ends after the image that it is at."""
        for preparation in [dropped for dropped in self._under_way if dropped.key == key]:
            preparation.dropped = True
            preparation.future.cancel()
            self._under_way.remove(preparation)

    def close(self) -> None:
        """Drop all requests, and wait until the threads have ended."""
        for key in self.keys:
            self.drop(key)
        self._decoder.close()
        for threads in (*self._fetching.values(), *self._decoding_beside.values(), *self._decoding.values()):
            threads.shutdown(cancel_futures=True)

    def _advance(self, preparation: Preparation, steps: Steps, here: Executor) -> None:
        """Run the next steps that belong to the threads `here`, then submit the rest to others. No thread waits for another."""
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
        """Prepare a request. Yields the threads on which the next step has to run."""
        urgent = preparation.urgent
        pictures: list[list[Picture]] = []
        for image in request.images:
            if _is_remote(image):
                yield self._fetching[urgent]
            if preparation.dropped:
                raise CancelledError
            source = image_source(image.url, self._settings, roots)
            yield self._decoding[urgent]
            pictures.append((yield from self._decoded(image, source, request, urgent)))
        shown = [picture for frames in pictures for picture in frames]
        prepared = self._prepare(request.with_frames(map(len, pictures)), [picture.image for picture in shown])
        flaw = next((picture.flaw for picture in shown if picture.flaw), None)
        return replace(prepared, image_flaw=flaw) if flaw else prepared

    def _decoded(
        self, image: ImageURL, source: Path | bytes, request: Request, urgent: bool
    ) -> Generator[Executor, None, list[Picture]]:
        # The name of a blob's file is a digest, which would say nothing in an error; an object's bytes have no name.
        name = "The image" if image.url.startswith(SCHEME) else None
        if is_object_address(image.url):
            name = image.url.rpartition("/")[2]
        limits = with_max_pixels(self._settings, request.max_pixels, low_detail=image.detail == "low")
        quick = decode_if_quick(source, limits, name=name)
        if quick is not None:
            return [quick]
        yield self._decoding_beside[urgent]
        decoded = self._decoder.decode_frames(source, max_pixels=limits.max_pixels, name=name, frames=request.frames)
        yield self._decoding[urgent]
        return decoded


def _is_remote(image: ImageURL) -> bool:
    return image.url.lower().startswith(("http:", "https:", "s3:"))


def _settle(settle: Callable[[Any], None], value: object) -> None:
    # The request may be dropped, and its future cancelled, at any moment.
    with suppress(InvalidStateError):
        settle(value)

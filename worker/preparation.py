"""What happens to requests before the model sees them: their images are fetched and decoded, beside it, in threads."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import ParamSpec, TypeVar

from PIL import Image

from jobs.blobs import SCHEME
from jobs.images import image_source
from jobs.requests import ImageURL, Request
from jobs.settings import Settings
from worker.preprocess import decode
from worker.rows import Prepared

#: Seconds that `wait` takes at most.
PATIENCE = 0.05
#: Seconds for which `wait_for_urgent` waits for a request, from when it began.
URGENT_PATIENCE = 0.1
#: Requests whose pictures are fetched from the net at a time: of those that are urgent, and of the others.
NET_THREADS = 16

P = ParamSpec("P")
T = TypeVar("T")

#: From a request and its decoded images to what the model takes. Called in any thread.
Prepare = Callable[[Request, list[Image.Image]], Prepared]


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


class Preparations:
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
        fetched = any(image.url.lower().startswith(("http:", "https:")) for image in request.images)
        preparation = Preparation(key, urgent, followed, fetched)
        threads = (self._fetching if fetched else self._decoding)[urgent]
        preparation.future = threads.submit(self._run, request, preparation, roots)
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
        # Those that fetch may still want those that decode.
        for threads in (*self._fetching.values(), *self._decoding.values()):
            threads.shutdown(cancel_futures=True)

    def _run(self, request: Request, preparation: Preparation, roots: Sequence[Path] | None) -> Prepared:
        begun = time.perf_counter()
        # What takes the CPU, where this thread is there to wait for servers.
        elsewhere = self._decoding[preparation.urgent] if preparation.fetched else None

        def run(work: Callable[P, T], *arguments: P.args, **more: P.kwargs) -> T:
            return (
                work(*arguments, **more) if elsewhere is None else elsewhere.submit(work, *arguments, **more).result()
            )

        images: list[Image.Image] = []
        for image in request.images:
            if preparation.dropped:
                raise CancelledError
            images.append(run(_decoded, image, image_source(image.url, self._settings, roots), self._settings))
        prepared = run(self._prepare, request, images)
        preparation.seconds = time.perf_counter() - begun
        return prepared


def _decoded(image: ImageURL, source: Path | bytes, settings: Settings) -> Image.Image:
    # A blob's file is called by its content.
    name = "The image" if image.url.startswith(SCHEME) else None
    return decode(source, settings, low_detail=image.detail == "low", name=name)

"""From a request to an outcome: images are fetched and decoded in threads, rows join the running batch, tokens come out.

All of it but the preparation runs on the thread that made the pipeline. It knows nothing of Redis or SQL.
"""

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
from jobs.errors import CaptionqError, ContextLengthError, EngineError
from jobs.images import image_source
from jobs.requests import ImageURL, Request
from jobs.settings import Settings
from jobs.store import Result
from jobs.verdicts import Batching
from worker.download import Tell
from worker.engine import GROUP, Engine
from worker.finished import Finished
from worker.preprocess import decode
from worker.residency import Residency, Resident
from worker.rows import Prepared, Said

#: Seconds that a step waits for the next prepared request when no row decodes.
PATIENCE = 0.05
#: Requests whose pictures are fetched from the net at a time: of those that are urgent, and of the others.
NET_THREADS = 16
#: Seconds for which bulk work is not begun while an urgent request is being prepared: it would wait for all of that work.
URGENT_PATIENCE = 0.1
#: Urgent requests that may begin when everything is full of others.
URGENT_ROOM = 64

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Outcome:
    """What came of the request `key`: either a result or an error."""

    key: str
    result: Result | None = None
    error: CaptionqError | None = None


@dataclass
class _Preparation:
    key: str
    future: Future[Prepared]
    urgent: bool
    followed: bool
    seconds: float = 0.0
    since: float = field(default_factory=time.monotonic)
    #: Nobody wants it any more: what has begun of it goes no further than the picture that it is at.
    dropped: bool = False

    def drop(self) -> None:
        self.dropped = True
        self.future.cancel()


class Pipeline:
    """One resident model, its batch, and what is being prepared for it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        #: By whether somebody waits for the answer: who does, does not wait for the pictures of a folder.
        self._decoding = {
            False: ThreadPoolExecutor(settings.preprocess_threads, thread_name_prefix="preprocess"),
            True: ThreadPoolExecutor(1, thread_name_prefix="preprocess-urgent"),
        }
        #: Nor for the slow servers that theirs come from. These threads only wait: a picture is large once it is decoded.
        self._fetching = {
            urgent: ThreadPoolExecutor(NET_THREADS, thread_name_prefix="fetch") for urgent in (False, True)
        }
        self._residency = Residency(settings)
        #: The one whose rows decode.
        self._resident: Resident | None = None
        self._preparing: deque[_Preparation] = deque()
        self._preprocess_seconds: dict[str, float] = {}

    @property
    def model(self) -> str | None:
        """The name of the model whose requests are taken in."""
        return self._resident.name if self._resident is not None else None

    @property
    def _engine(self) -> Engine | None:
        return self._resident.engine if self._resident is not None else None

    @property
    def in_flight(self) -> int:
        """Requests that have begun and not ended."""
        return len(self._preparing) + len(self._preprocess_seconds)

    def room(self, *, urgent: bool = False) -> int:
        """How many more may begin: a full batch, the next group, and what the threads are at; a few more that are urgent."""
        bulk = self._settings.slots + GROUP + self._settings.preprocess_threads
        return bulk + (URGENT_ROOM if urgent else 0) - self.in_flight

    def accepts(self, model: str) -> bool:
        """Whether a request for this model may begin now: another model has to wait until the batch has drained."""
        return model == self.model or self.in_flight == 0

    @property
    def rows(self) -> int:
        """Requests that decode."""
        return self._engine.rows if self._engine is not None else 0

    @property
    def slots(self) -> int:
        """Requests that may decode together."""
        return self._engine.slots if self._engine is not None else self._settings.slots

    @property
    def batching(self) -> Batching | None:
        """How much company the model bears."""
        return self._resident.batching if self._resident is not None else None

    def begin(
        self,
        key: str,
        request: Request,
        *,
        urgent: bool = False,
        followed: bool = False,
        roots: Sequence[Path] | None = None,
    ) -> None:
        """Take a request in, ahead of the others if it is urgent. Its model must be resident (`load`).

        `followed`: `said` tells of it. `roots`: its images may be read from below these alone.
        """
        preparation = _Preparation(key, Future(), urgent, followed)
        is_fetched = any(image.url.lower().startswith(("http:", "https:")) for image in request.images)
        threads = (self._fetching if is_fetched else self._decoding)[urgent]
        decoding = self._decoding[urgent] if is_fetched else None
        preparation.future = threads.submit(self._prepare, request, preparation, roots, decoding)
        self._preparing.append(preparation)

    def step(self) -> list[Outcome]:
        """Admit what is prepared and decode one token for every row. Returns what ended."""
        self._wait_for_urgent()
        outcomes = self._admit_prepared()
        engine = self._engine
        if engine is not None and engine.busy:
            outcomes += [self._outcome(finished) for finished in engine.step(coming=bool(self._preparing))]
        if self._preparing and not outcomes and not (engine is not None and engine.working):
            wait([one.future for one in self._preparing], timeout=PATIENCE, return_when=FIRST_COMPLETED)
        return outcomes

    def said(self) -> list[Said]:
        """What the requests that are followed have said since the last call."""
        return self._engine.said() if self._engine is not None else []

    def cancel(self, key: str) -> None:
        """Drop a request, wherever it is. Its neighbours are not touched."""
        if self._preprocess_seconds.pop(key, None) is not None and self._engine is not None:
            self._engine.cancel(key)
        for preparation in [one for one in self._preparing if one.key == key]:
            preparation.drop()
            self._preparing.remove(preparation)

    def clear(self) -> None:
        """Drop all requests; the model stays."""
        for key in [*(one.key for one in self._preparing), *self._preprocess_seconds]:
            self.cancel(key)

    def close(self) -> None:
        """Drop everything, the model too."""
        self.clear()
        # Those that fetch may still want those that decode.
        for threads in (*self._fetching.values(), *self._decoding.values()):
            threads.shutdown(cancel_futures=True)
        self._resident = None
        self._residency.close()

    def _prepare(
        self,
        request: Request,
        preparation: _Preparation,
        roots: Sequence[Path] | None,
        decoding: ThreadPoolExecutor | None,
    ) -> Prepared:
        """`decoding`: the threads for what takes the CPU, when this one is there to wait for servers."""
        begun = time.perf_counter()
        assert self._resident is not None

        def run(work: Callable[P, T], *arguments: P.args, **more: P.kwargs) -> T:
            return work(*arguments, **more) if decoding is None else decoding.submit(work, *arguments, **more).result()

        images: list[Image.Image] = []
        for image in request.images:
            if preparation.dropped:
                raise CancelledError
            images.append(run(_decoded, image, image_source(image.url, self._settings, roots), self._settings))
        prepared = run(self._resident.engine.backend.prepare, request, images)
        _check_length(prepared, self._settings)
        preparation.seconds = time.perf_counter() - begun
        return prepared

    def _wait_for_urgent(self) -> None:
        """Until one is prepared, if one has just begun: what takes longer, such as a picture from the net, holds nobody up."""
        urgent = [preparation for preparation in self._preparing if preparation.urgent]
        if urgent:
            left = urgent[-1].since + URGENT_PATIENCE - time.monotonic()
            wait([one.future for one in urgent], timeout=max(0.0, left), return_when=FIRST_COMPLETED)

    def _admit_prepared(self) -> list[Outcome]:
        """Urgent ones first, else in the order in which they began; a slow picture delays nobody else."""
        failed: list[Outcome] = []
        for urgent in (True, False):
            for preparation in [one for one in self._preparing if one.urgent is urgent]:
                if self._engine is None or not (urgent or self._engine.free > 0):
                    break
                if not preparation.future.done():
                    continue
                self._preparing.remove(preparation)
                try:
                    prepared = preparation.future.result()
                    self._engine.admit(preparation.key, prepared, urgent=urgent, followed=preparation.followed)
                except Exception as error:
                    failed.append(Outcome(preparation.key, error=as_captionq_error(error)))
                else:
                    self._preprocess_seconds[preparation.key] = preparation.seconds
        return failed

    def _outcome(self, finished: Finished) -> Outcome:
        seconds = self._preprocess_seconds.pop(finished.key)
        if finished.error is not None:
            return Outcome(finished.key, error=finished.error)
        return Outcome(
            finished.key,
            Result(
                text=finished.text,
                finish_reason=finished.finish_reason,
                prompt_tokens=finished.prompt_tokens,
                image_tokens=finished.image_tokens,
                completion_tokens=finished.completion_tokens,
                preprocess_seconds=seconds,
                prefill_seconds=finished.prefill_seconds,
                decode_seconds=finished.decode_seconds,
                quality=finished.quality,
                logprobs=finished.logprobs,
            ),
        )

    def load(self, model: str, tell: Tell | None = None) -> None:
        """Make this the model whose requests are taken in; nothing may be in flight. Raises ModelError.

        `tell` hears how far it is, if it has to be fetched.
        """
        self._resident = None
        self._resident = self._residency.get(model, tell)


def _decoded(image: ImageURL, source: Path | bytes, settings: Settings) -> Image.Image:
    # A blob's file is called by its content.
    name = "The image" if image.url.startswith(SCHEME) else None
    return decode(source, settings, low_detail=image.detail == "low", name=name)


def _check_length(prepared: Prepared, settings: Settings) -> None:
    tokens, limit = len(prepared.ids), settings.max_prompt_tokens
    if limit is not None and tokens > limit:
        raise ContextLengthError(
            f"The prompt has {tokens} tokens ({prepared.image_tokens} for images); {limit} are allowed "
            "(CAPTIONQ_MAX_PROMPT_TOKENS). Send less text, or fewer or smaller images."
        )


def as_captionq_error(error: Exception) -> CaptionqError:
    """An error of ours as it is; any other one as an EngineError that names it."""
    if isinstance(error, CaptionqError):
        return error
    return EngineError(f"Generation failed: {type(error).__name__}: {error}")

"""The thread that writes captions into image files: exiftool takes longer than a decode step, and other sequences go on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from jobs.captions.outputs.exiftool import ExifTool
from jobs.store.result import Result
from jobs.store.tables import Job

#: Images that wait for the thread at most, so that a run of cached answers claims no more jobs than it can end soon.
MOST_WAITING = 32


@dataclass(frozen=True)
class Delivery:
    """A job whose files are being written."""

    job: Job
    result: Result
    #: Has the outcome of the function that writes the files.
    future: Future[bool]


class EmbeddingThread:
    """One thread with one exiftool. Deliveries end in the order in which they begin."""

    def __init__(self) -> None:
        self._exiftool = ExifTool()
        self._thread: ThreadPoolExecutor | None = None
        self._begun: deque[Delivery] = deque()

    def begin(self, job: Job, result: Result, deliver: Callable[[ExifTool], bool]) -> None:
        """Begin to write the files of a job. `deliver` is called in the thread."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="embed")
        self._begun.append(Delivery(job, result, self._thread.submit(deliver, self._exiftool)))

    def ended(self, seconds: float) -> Iterator[Delivery]:
        """Yield the deliveries that have ended. Waits while too many have not.

        `seconds`: how long to wait for the first one, because there is nothing else to do.
        """
        while self._begun:
            first = self._begun[0]
            wait([first.future], timeout=None if len(self._begun) > MOST_WAITING else seconds)
            if not first.future.done():
                return
            seconds = 0.0
            yield self._begun.popleft()

    def close(self) -> None:
        """End the thread and its exiftool when all deliveries have ended. The next delivery starts others."""
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None
        self._exiftool.close()

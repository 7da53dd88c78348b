"""From a request to an outcome: requests are prepared in threads, rows join the running batch, tokens come out.

All of it but the preparation runs on the thread that made the pipeline. It knows nothing of Redis or SQL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from jobs.errors import CaptionqError
from jobs.models.batching_verdicts import Batching
from jobs.models.prompt_length import check_characters, prompt_limit, texts_of
from jobs.requests import Request
from jobs.settings import Settings
from jobs.store.store import Result
from worker.engine.engine import GROUP, Engine
from worker.engine.finished import EndedSequence
from worker.engine.sequences import TextDelta
from worker.models.backends import check_prompt_tokens
from worker.models.download import OnProgress
from worker.models.failures import as_captionq_error
from worker.models.inputs import Prepared
from worker.pipeline.preparation import PreparationPool
from worker.pipeline.resident_models import ResidentModel, ResidentModels

#: Urgent requests that may begin when everything is full of others.
URGENT_ROOM = 64


@dataclass(frozen=True)
class Outcome:
    """What came of the request `key`: either a result or an error."""

    key: str
    result: Result | None = None
    error: CaptionqError | None = None


class Pipeline:
    """One resident model, its batch, and what is being prepared for it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._residency = ResidentModels(settings)
        #: The one whose rows decode.
        self._resident: ResidentModel | None = None
        self._preparations = PreparationPool(settings, self._prepare)
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
        return len(self._preparations) + len(self._preprocess_seconds)

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
        self._preparations.begin(key, request, urgent=urgent, followed=followed, roots=roots)

    def step(self) -> list[Outcome]:
        """Admit what is prepared and decode one token for every row. Returns what ended."""
        engine = self._engine
        if engine is not None and (self._preparations.has_bulk or engine.bulk_waits):
            # Bulk work that is begun now is what an urgent request would wait for, though it is ready in a moment.
            self._preparations.wait_for_urgent()
        outcomes = self._admit_prepared()
        if engine is not None and engine.busy:
            outcomes += [self._outcome(finished) for finished in engine.step(coming=bool(self._preparations))]
        if self._preparations and not outcomes and not (engine is not None and engine.working):
            self._preparations.wait()
        return outcomes

    def said(self) -> list[TextDelta]:
        """What the requests that are followed have said since the last call."""
        return self._engine.said() if self._engine is not None else []

    def cancel(self, key: str) -> None:
        """Drop a request, wherever it is. Its neighbours are not touched."""
        if self._preprocess_seconds.pop(key, None) is not None and self._engine is not None:
            self._engine.cancel(key)
        self._preparations.drop(key)

    def clear(self) -> None:
        """Drop all requests; the model stays."""
        for key in [*self._preparations.keys, *self._preprocess_seconds]:
            self.cancel(key)

    def close(self) -> None:
        """Drop everything, the model too."""
        self.clear()
        self._preparations.close()
        self._resident = None
        self._residency.close()

    def _prepare(self, request: Request, images: list[Image.Image]) -> Prepared:
        assert self._resident is not None
        backend = self._resident.engine.backend
        limit = prompt_limit(self._resident.context_length, self._settings)
        texts = texts_of(request)
        check_characters(texts, limit)
        backend.refuse_long(texts, limit)
        prepared = backend.prepare(request, images)
        check_prompt_tokens(len(prepared.ids), prepared.image_tokens, self._settings.max_prompt_tokens)
        return prepared

    def _admit_prepared(self) -> list[Outcome]:
        """A slow picture delays nobody else."""
        failed: list[Outcome] = []
        for preparation in self._preparations.done():
            if self._engine is None or not (preparation.urgent or self._engine.free > 0):
                break
            self._preparations.remove(preparation)
            try:
                prepared = preparation.future.result()
                self._engine.admit(preparation.key, prepared, urgent=preparation.urgent, followed=preparation.followed)
            except Exception as error:
                failed.append(Outcome(preparation.key, error=as_captionq_error(error)))
            else:
                self._preprocess_seconds[preparation.key] = preparation.seconds
        return failed

    def _outcome(self, finished: EndedSequence) -> Outcome:
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

    def load(self, model: str, tell: OnProgress | None = None) -> None:
        """Make this the model whose requests are taken in; nothing may be in flight. Raises ModelError.

        `tell` hears how far it is, if it has to be fetched.
        """
        self._resident = None
        self._resident = self._residency.get(model, tell)

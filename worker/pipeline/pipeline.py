"""The pipeline: from a request to an outcome. Threads prepare requests, and the engine decodes them.

Everything except the preparation runs on the thread that made the pipeline. Knows nothing of Redis or SQL.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from PIL import Image

from jobs.configuration.settings import Settings
from jobs.models.batching_verdicts import Batching
from jobs.models.prompt_length import check_characters, prompt_limit, texts_of
from jobs.requests import Request
from jobs.store.result import Result
from worker.engine.engine import Engine
from worker.engine.figures import Figures
from worker.engine.sequences import Outcome, TextDelta
from worker.models.download import OnProgress
from worker.models.failures import as_captionq_error
from worker.models.inputs import Prepared
from worker.models.text.prompt_limits import check_prompt_tokens
from worker.pipeline.answer_cache import FindAnswer, cache_key, mended_key
from worker.pipeline.choices import Choices
from worker.pipeline.near_duplicates import NearDuplicates, look_for
from worker.pipeline.preparation import Preparation, PreparationPool
from worker.pipeline.resident_models import ResidentModel, ResidentModels
from worker.pipeline.twins import Twins, answer_of

#: Urgent requests that may begin when bulk requests have taken all other room.
URGENT_ROOM = 64


class Pipeline:
    """One resident model, its engine, and the requests that are being prepared for it."""

    def __init__(self, settings: Settings, find_answer: FindAnswer | None = None) -> None:
        """Make a pipeline without a model. `find_answer`: the result cache; None: every request is generated."""
        self._settings = settings
        self._find_answer = find_answer
        self._residency = ResidentModels(settings)
        #: The model whose requests are accepted.
        self._resident: ResidentModel | None = None
        self._preparations = PreparationPool(settings, self._prepare)
        self._preprocess_seconds: dict[str, float] = {}
        self._twins = Twins()
        self._choices = Choices()
        self._near_duplicates = NearDuplicates()

    @property
    def model(self) -> str | None:
        """The name of the model whose requests are accepted; None: no model is loaded."""
        return self._resident.name if self._resident is not None else None

    @property
    def models(self) -> Sequence[str]:
        """The names of all models in memory."""
        return self._residency.names

    @property
    def _engine(self) -> Engine | None:
        return self._resident.engine if self._resident is not None else None

    @property
    def in_flight(self) -> int:
        """Number of requests that have begun and not ended."""
        return len(self._preparations) + len(self._preprocess_seconds) + len(self._twins)

    def room(self, *, urgent: bool = False) -> int:
        """Number of requests that may begin: a full batch, the next group and one for each thread; urgent ones have more room."""
        bulk = self._settings.slots + self._settings.prefill_group + self._settings.preprocess_threads
        return bulk + (URGENT_ROOM if urgent else 0) - self.in_flight

    def accepts(self, model: str) -> bool:
        """Whether a request for this model may begin now: another model waits until the batch has drained."""
        return model == self.model or self.in_flight == 0

    @property
    def rows(self) -> int:
        """Number of requests that decode."""
        return self._engine.decoding if self._engine is not None else 0

    @property
    def slots(self) -> int:
        """Number of requests that may decode together."""
        return self._engine.slots if self._engine is not None else self._settings.slots

    @property
    def figures(self) -> Figures:
        """Counts and seconds of the engine since the model was loaded."""
        return Figures() if self._engine is None else self._engine.figures

    @property
    def batching(self) -> Batching | None:
        """How the model's requests can be batched; None: no model is loaded."""
        return self._resident.batching if self._resident is not None else None

    def begin(
        self,
        key: str,
        request: Request,
        *,
        urgent: bool = False,
        followed: bool = False,
        roots: Sequence[Path] | None = None,
        mended: bool = False,
    ) -> None:
        """Begin to prepare a request. Its model must be resident (`load`).

        Args:
            urgent: The request goes ahead of all that are not.
            followed: `said` returns its text deltas.
            roots: Folders below which its images may be read; None: the `allowed_roots` of the settings.
            mended: An answer of the result cache will do that changed settings gave, because the question's own had a flaw.
        """
        self._preparations.begin(key, request, urgent=urgent, followed=followed, roots=roots, mended=mended)

    def step(self) -> list[Outcome]:
        """Admit prepared requests, and do one step of the engine. Return the outcomes of requests that have ended."""
        engine = self._engine
        if engine is not None and (self._preparations.has_bulk or engine.bulk_waits):
            # An urgent request that is ready in a moment would have to wait for bulk work that is begun now.
            self._preparations.wait_for_urgent()
        outcomes = self._admit_prepared()
        if engine is not None and engine.busy:
            for one in engine.step(coming=bool(self._preparations), urgent_coming=self._preparations.urgent_coming):
                if (outcome := self._choices.collect(one)) is not None:
                    self._end_choices(outcome.key)
                    outcomes += [self._timed(outcome), *self._answer_twins(outcome)]
        if self._preparations and not outcomes and not (engine is not None and engine.working):
            with nullcontext() if engine is None else engine.clock.waiting():
                self._preparations.wait()
        return outcomes

    def said(self) -> list[TextDelta]:
        """Return the text that followed requests have added since the last call."""
        return [self._choices.delta(one) for one in self._engine.said()] if self._engine is not None else []

    def texts_so_far(self) -> dict[str, str]:
        """Return the texts of all requests that decode, by their keys."""
        return self._engine.texts_so_far() if self._engine is not None else {}

    def cancel(self, key: str) -> None:
        """Drop a request, prepared or not. The other requests of the batch go on."""
        if self._preprocess_seconds.pop(key, None) is not None:
            self._end_choices(key)
        self._twins.drop(key)
        self._preparations.put_back(self._twins.take(key))
        self._preparations.drop(key)

    def clear(self) -> None:
        """Drop all requests; the model stays."""
        for key in [*self._preparations.keys, *self._preprocess_seconds, *self._twins.keys]:
            self.cancel(key)

    def unload(self) -> None:
        """Unload the models that are not pinned. No request may be in flight."""
        if self.model not in self._settings.pinned_models:
            self._resident = None
        self._residency.unload()

    def close(self) -> None:
        """Drop all requests and the model."""
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
        fingerprint = self._resident.fingerprint
        look = look_for(request, images, fingerprint)
        key = cache_key(fingerprint, request, prepared)
        return replace(prepared, cache_key=key, look=look, choices=request.choices)

    def _admit_prepared(self) -> list[Outcome]:
        """Admit requests in the order in which their preparation ends, so that a slow image delays no other request."""
        ended: list[Outcome] = []
        for preparation in self._preparations.done():
            if self._engine is None or not (preparation.urgent or self._engine.free > 0):
                break
            self._preparations.remove(preparation)
            try:
                if (known := self._admit(preparation, preparation.future.result())) is not None:
                    ended.append(Outcome(preparation.key, replace(known, preprocess_seconds=preparation.seconds)))
            except Exception as error:
                ended.append(Outcome(preparation.key, error=as_captionq_error(error)))
        return ended

    def _admit(self, preparation: Preparation, prepared: Prepared) -> Result | None:
        """Return the answer of the result cache, or admit the request to the engine if no request in flight asks the same."""
        assert self._engine is not None
        asked = self._near_duplicates.canonical(prepared)
        if asked is not None:
            if (known := self._known_answer(asked, mended=preparation.mended)) is not None:
                return known
            if self._twins.hold(preparation, asked):
                return None
        for key, one in self._choices.begin(preparation.key, prepared, prepared.choices):
            self._engine.admit(key, one, urgent=preparation.urgent, followed=preparation.followed)
        self._preprocess_seconds[preparation.key] = preparation.seconds
        if prepared.cache_key is not None:
            self._twins.lead(preparation.key, prepared.cache_key)
        return None

    def _known_answer(self, asked: str, *, mended: bool) -> Result | None:
        """Look up the answer in the result cache: the question's own first, then the one that changed settings gave."""
        keys = (asked, mended_key(asked)) if mended else (asked,)
        return next((known for key in keys if self._find_answer and (known := self._find_answer(key))), None)

    def _answer_twins(self, leader: Outcome) -> list[Outcome]:
        """Give the answer to the requests that waited for it. If there is none, the first of them is generated next."""
        twins = self._twins.take(leader.key)
        outcomes = [outcome for twin in twins if (outcome := answer_of(twin, leader)) is not None]
        if not outcomes:
            self._preparations.put_back(twins)
        return outcomes

    def _end_choices(self, key: str) -> None:
        """Drop the sequences of a request that have not ended."""
        if self._engine is not None:
            for one in self._choices.keys(key):
                self._engine.cancel(one)
        self._choices.forget(key)

    def _timed(self, outcome: Outcome) -> Outcome:
        """Add the seconds of the preparation."""
        seconds = self._preprocess_seconds.pop(outcome.key)
        return replace(outcome, result=outcome.result and replace(outcome.result, preprocess_seconds=seconds))

    def load(
        self, model: str, on_progress: OnProgress | None = None, on_check: Callable[[], None] | None = None
    ) -> None:
        """Make this the model whose requests are accepted. No request may be in flight. Raises ModelError.

        `on_progress(done, total)` is called while the model downloads, and `on_check` before its batching check.
        """
        self._resident = None
        self._resident = self._residency.get(model, on_progress, on_check)

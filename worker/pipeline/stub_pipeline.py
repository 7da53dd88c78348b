"""The pipeline of the model `stub`: it answers every request at once, without a model, its libraries or the images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from jobs.configuration.settings import Settings
from jobs.faults import FaultPoint, point
from jobs.models.batching_verdicts import Batching
from jobs.models.prompt_length import texts_of
from jobs.requests import Request
from jobs.store.result import Result
from worker.engine.figures import Figures
from worker.engine.sequences import Outcome, TextDelta
from worker.models.download import OnProgress


class StubPipeline:
    """Answers that depend on nothing but the request. See `RequestPipeline`."""

    figures = Figures()
    rows = 0
    batching: Batching | None = None

    def __init__(self, settings: Settings) -> None:
        self._requests: dict[str, Request] = {}
        self.slots = settings.slots
        self.model: str | None = None

    @property
    def models(self) -> Sequence[str]:
        return [] if self.model is None else [self.model]

    @property
    def in_flight(self) -> int:
        return len(self._requests)

    def room(self, *, urgent: bool = False) -> int:
        return self.slots - self.in_flight + urgent

    def accepts(self, model: str) -> bool:
        return model == self.model or not self._requests

    def load(
        self, model: str, on_progress: OnProgress | None = None, on_check: Callable[[], None] | None = None
    ) -> None:
        self.model = model

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
        self._requests[key] = request

    def step(self) -> list[Outcome]:
        point(FaultPoint.STEP)
        outcomes = [Outcome(key, result=_answer(request)) for key, request in self._requests.items()]
        self._requests.clear()
        return outcomes

    def said(self) -> list[TextDelta]:
        return []

    def texts_so_far(self) -> dict[str, str]:
        return {}

    def cancel(self, key: str) -> None:
        self._requests.pop(key, None)

    def clear(self) -> None:
        self._requests.clear()

    def unload(self) -> None:
        self.model = None

    def close(self) -> None:
        self._requests.clear()


def _answer(request: Request) -> Result:
    words = sum(len(text.split()) for text in texts_of(request))
    return Result(
        text=f"A stub has no answer to {request.digest}.",
        finish_reason="stop",
        prompt_tokens=words,
        image_tokens=0,
        completion_tokens=7,
        preprocess_seconds=0.0,
        prefill_seconds=0.0,
        decode_seconds=0.0,
    )

"""The interface between the worker's dispatch and a pipeline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from jobs.models.batching_verdicts import Batching
from jobs.requests import Request
from worker.engine.figures import Figures
from worker.engine.sequences import Outcome, TextDelta
from worker.models.download import OnProgress


class RequestPipeline(Protocol):
    """The way from a request to an outcome. `worker.pipeline.pipeline.Pipeline` describes its methods."""

    @property
    def model(self) -> str | None: ...

    @property
    def models(self) -> Sequence[str]: ...

    @property
    def in_flight(self) -> int: ...

    @property
    def rows(self) -> int: ...

    @property
    def slots(self) -> int: ...

    @property
    def figures(self) -> Figures: ...

    @property
    def batching(self) -> Batching | None: ...

    def room(self, *, urgent: bool = False) -> int: ...

    def accepts(self, model: str) -> bool: ...

    def load(
        self, model: str, on_progress: OnProgress | None = None, on_check: Callable[[], None] | None = None
    ) -> None: ...

    def begin(
        self,
        key: str,
        request: Request,
        *,
        urgent: bool = False,
        followed: bool = False,
        roots: Sequence[Path] | None = None,
        mended: bool = False,
    ) -> None: ...

    def step(self) -> list[Outcome]: ...

    def said(self) -> list[TextDelta]: ...

    def texts_so_far(self) -> dict[str, str]: ...

    def cancel(self, key: str) -> None: ...

    def clear(self) -> None: ...

    def unload(self) -> None: ...

    def close(self) -> None: ...

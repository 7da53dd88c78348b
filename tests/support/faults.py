"""Models and sequences that break on purpose, at a chosen step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mlx.core as mx
import numpy as np

from worker.models.backends import VisionBackend
from worker.models.inputs import Prepared
from worker.models.loader import LoadedModel
from worker.sampling.constraint import Constraint


class BreakingModel:
    """A language model whose decode steps in `breaks` fail after they were computed: the caches are then a step ahead."""

    def __init__(self, model: Any, breaks: set[int]) -> None:
        self._model, self._breaks = model, breaks
        self._steps = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def __call__(self, inputs: Any, **options: Any) -> Any:
        output = self._model(inputs, **options)
        if "inputs_embeds" not in options:
            self._steps += 1
            if self._steps in self._breaks:
                mx.eval(output.logits, [cache.state for cache in options["cache"]])
                raise RuntimeError("the device went away")
        return output


class Breaking(VisionBackend):
    """The real backend with a `BreakingModel`."""

    def __init__(self, loaded: LoadedModel, breaks: set[int]) -> None:
        super().__init__(loaded)
        self.language_model = BreakingModel(self.language_model, breaks)


class _Breaks(Constraint):
    """A constraint that allows every token until it has accepted `after` tokens, and then breaks the next step."""

    def __init__(self, vocabulary: int, after: int) -> None:
        self._vocabulary, self._after = vocabulary, after

    def accept(self, token: int) -> None:
        self._after -= 1

    def allowed(self) -> Any:
        if self._after < 0:
            raise MemoryError("this row cannot be decoded")
        return np.ones(self._vocabulary, np.bool_)


class Poisoned(VisionBackend):
    """The real backend, in which one sequence breaks every step of its batch from its token number `after` on."""

    def __init__(self, loaded: LoadedModel, culprit: Prepared | None = None, after: int = 0) -> None:
        super().__init__(loaded)
        self.culprit, self.after = culprit, after

    def constraint(self, prepared: Prepared, generated: Sequence[int] = ()) -> Constraint | None:
        if prepared is not self.culprit:
            return super().constraint(prepared, generated)
        return _Breaks(self._vocabulary, self.after - len(generated))

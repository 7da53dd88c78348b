"""Several sampled answers to one request (`n`): a sequence each, and one outcome when all have ended."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from jobs.sampling import Sampling
from jobs.store.answers import STORED
from jobs.store.result import Result
from worker.engine.sequences import Outcome, TextDelta
from worker.models.inputs import Prepared

#: Between a request's key and the number of the answer, in the keys of all sequences but the first.
_MARK = "#"


class Choices:
    """The answers of requests that have begun, one or several each, and which of them have ended."""

    def __init__(self) -> None:
        #: By the request's key: for each answer its result; None: it has not ended.
        self._results: dict[str, list[Result | None]] = {}

    def begin(self, key: str, prepared: Prepared, count: int) -> list[tuple[str, Prepared]]:
        """Return the sequences of a request: their keys, and the prompt with the sampling of each."""
        self._results[key] = [None] * count
        return [
            (_key(key, number), replace(prepared, sampling=_sampling(prepared.sampling, number)))
            for number in range(count)
        ]

    def keys(self, key: str) -> list[str]:
        """Return the keys of a request's sequences."""
        return [_key(key, number) for number in range(len(self._results.get(key, ())))]

    def forget(self, key: str) -> None:
        """Forget a request that has ended or is cancelled."""
        self._results.pop(key, None)

    def collect(self, outcome: Outcome) -> Outcome | None:
        """Return the outcome of the request when this was the last of its answers, or failed.

        None: others are under way; or the request has ended, because another of its answers failed in the same step.
        """
        key, number = _split(outcome.key)
        results = self._results.get(key)
        if results is None:
            return None
        if outcome.result is None:
            return replace(outcome, key=key)
        results[number] = outcome.result
        ended = [result for result in results if result is not None]
        return replace(outcome, key=key, result=_together(ended)) if len(ended) == len(results) else None

    def delta(self, delta: TextDelta) -> TextDelta:
        """Return a delta with the request's key and the number of the answer."""
        key, number = _split(delta.key)
        return replace(delta, key=key, choice=number)


def _key(key: str, number: int) -> str:
    return f"{key}{_MARK}{number}" if number else key


def _split(key: str) -> tuple[str, int]:
    request, mark, number = key.rpartition(_MARK)
    return (request, int(number)) if mark else (key, 0)


def _sampling(sampling: Sampling, number: int) -> Sampling:
    """Return the sampling of one answer. Its seed follows from the request's, and the first has the request's own."""
    if sampling.seed is None or number == 0:
        return sampling
    digest = hashlib.sha256(f"{sampling.seed} {number}".encode()).digest()
    return sampling.model_copy(update={"seed": int.from_bytes(digest[:8], "big") >> 1})


def _together(results: Sequence[Result]) -> Result:
    first, *others = results
    if not others:
        return first
    return replace(
        first,
        completion_tokens=sum(result.completion_tokens for result in results),
        decode_seconds=max(result.decode_seconds for result in results),
        choices=[{name: getattr(result, name) for name in STORED} for result in others],
    )

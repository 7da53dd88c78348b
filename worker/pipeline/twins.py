"""Bulk requests that ask the same as a request in flight: they wait for its answer, and nothing is generated twice."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from worker.engine.sequences import Outcome
from worker.pipeline.preparation import Preparation


class Twins:
    """Prepared requests that wait for the answer of another request, their leader."""

    def __init__(self) -> None:
        #: Key in the result cache → key of the leader that generates its answer.
        self._leaders: dict[str, str] = {}
        #: The reverse.
        self._asked: dict[str, str] = {}
        #: Key of the leader → its twins.
        self._waiting: defaultdict[str, list[Preparation]] = defaultdict(list)

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    @property
    def keys(self) -> list[str]:
        """The keys of the requests that wait."""
        return [twin.key for twins in self._waiting.values() for twin in twins]

    def lead(self, key: str, asked: str) -> None:
        """Note that the request `key` generates the answer with the key `asked` in the result cache."""
        if asked not in self._leaders:
            self._leaders[asked], self._asked[key] = key, asked

    def hold(self, preparation: Preparation, asked: str) -> bool:
        """Let a request wait if the answer with the key `asked` is being generated. Returns whether it waits.

        Urgent and followed requests never wait: bulk leaders may be slow, and their text cannot be followed.
        """
        leader = self._leaders.get(asked)
        if leader is None or preparation.urgent or preparation.followed:
            return False
        self._waiting[leader].append(preparation)
        return True

    def take(self, leader: str) -> list[Preparation]:
        """Take the twins of a leader that has ended."""
        if (asked := self._asked.pop(leader, None)) is not None:
            del self._leaders[asked]
        return self._waiting.pop(leader, [])

    def drop(self, key: str) -> None:
        """Drop a request that waits."""
        for twins in self._waiting.values():
            twins[:] = [twin for twin in twins if twin.key != key]


def answer_of(twin: Preparation, outcome: Outcome) -> Outcome | None:
    """Return the outcome of a leader as its twin's; None: the leader has no answer that can be given again."""
    result = outcome.result
    if result is None or result.quality is not None:
        return None
    timed = replace(result, preprocess_seconds=twin.seconds, prefill_seconds=0.0, decode_seconds=0.0)
    return Outcome(twin.key, replace(timed, cached=True))

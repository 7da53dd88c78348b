"""The state of runs as the page shows it."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TypeVar

from jobs.models.model_info import public_name
from jobs.safe_text import safe_text
from jobs.store.progress import progress_of
from jobs.store.queries.batch_list import newest_batches
from jobs.store.queries.token_totals import TokenTotals, add_tokens
from jobs.store.store import Store
from jobs.store.tables import OPEN, Batch, BatchKind, JobStatus

#: Runs that the overview lists.
MOST_RUNS = 50
#: Seconds for which the list of runs is kept; at least this many times the duration of reading it.
RUNS_KEPT, PATIENCE = 1.0, 20
#: Runs whose totals are remembered.
REMEMBERED = 200
Value = TypeVar("Value")
_KINDS = {BatchKind.RUN: "Captions", BatchKind.FOLDER: "Folder", BatchKind.LIST: "List"}


@dataclass(frozen=True)
class RunState:
    """State of one run at one moment."""

    id: str
    title: str
    kind: str
    model: str
    created_at: float
    counts: dict[str, int]
    is_open: bool
    is_paused: bool
    rate: float | None
    seconds_left: float | None
    #: Seconds from the creation to the last end; None: the run is open.
    seconds: float | None
    tokens: TokenTotals

    @property
    def state(self) -> str:
        """The state in a word."""
        return "paused" if self.is_paused else "running" if self.is_open else "ended"

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def done(self) -> int:
        return self.total - sum(self.counts[status] for status in OPEN)


@dataclass
class RunStates:
    """Reads the states of runs, and remembers the parts that do not change."""

    store: Store
    _totals: OrderedDict[str, TokenTotals] = field(default_factory=OrderedDict)
    _ended: OrderedDict[str, RunState] = field(default_factory=OrderedDict)
    _newest: list[RunState] = field(default_factory=list)
    _read_until: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def newest(self) -> list[RunState]:
        """Return the newest runs, newest first. All readers share one look at the database."""
        with self._lock:
            begun = time.monotonic()
            if begun >= self._read_until:
                found = newest_batches(self.store.engine, MOST_RUNS)
                self._newest = [self._state(one.batch, one.counts) for one in found]
                now = time.monotonic()
                self._read_until = now + max(RUNS_KEPT, PATIENCE * (now - begun))
            return self._newest

    def of(self, batch: Batch) -> RunState:
        """Return the state of one run."""
        counts = self.store.counts(batch.id)
        with self._lock:
            return self._state(batch, counts)

    def _state(self, batch: Batch, counts: dict[JobStatus, int]) -> RunState:
        known = self._ended.get(batch.id)
        if known is not None and known.counts == counts:
            return known
        progress = progress_of(self.store, batch)
        tokens = add_tokens(self.store.engine, batch.id, self._totals.get(batch.id, TokenTotals()))
        _remember(self._totals, batch.id, tokens)
        is_open = not (progress.has_ended and batch.complete)
        finished = progress.finished_at
        state = RunState(
            id=batch.id,
            title=safe_text(batch.description) or batch.id,
            kind=_KINDS.get(BatchKind(batch.kind), "List"),
            model=public_name(batch.model),
            created_at=batch.created_at,
            counts={str(status): count for status, count in progress.counts.items()},
            is_open=is_open,
            is_paused=is_open and batch.paused_at is not None,
            rate=progress.rate,
            seconds_left=progress.seconds_left,
            seconds=None if is_open or finished is None else finished - batch.created_at,
            tokens=tokens,
        )
        if not is_open:
            _remember(self._ended, batch.id, state)
        return state


def _remember(known: OrderedDict[str, Value], key: str, value: Value) -> None:
    known[key] = value
    known.move_to_end(key)
    while len(known) > REMEMBERED:
        known.popitem(last=False)

"""The state of runs as the page shows it."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TypeVar

from jobs.models.model_info import public_name
from jobs.safe_text import safe_text
from jobs.store.file_batches.batch_labels import BatchLabel, batch_labels
from jobs.store.progress import progress_of
from jobs.store.queries.batch_list import newest_batches
from jobs.store.queries.token_totals import TokenTotals, add_tokens
from jobs.store.store import Store
from jobs.store.tables import OPEN, Batch, BatchKind, JobStatus

#: Runs on a page of the overview.
RUNS_A_PAGE = 50
#: Seconds for which such a page is kept; at least this many times the duration of reading it.
RUNS_KEPT, PATIENCE = 1.0, 20
#: Pages that are kept, and runs whose totals are remembered.
PAGES_KEPT, REMEMBERED = 8, 200
Key = TypeVar("Key")
Value = TypeVar("Value")
#: Time and id of a batch: older batches come after it.
Place = tuple[float, str]
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
    #: Number of pictures or requests, those included that have no job yet.
    total: int
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
    def done(self) -> int:
        return sum(count for status, count in self.counts.items() if status not in OPEN)


@dataclass(frozen=True)
class RunList:
    """A page of runs, newest first."""

    runs: list[RunState]
    #: The place from which older runs follow; None: there are none.
    older: Place | None


@dataclass
class RunStates:
    """Reads the states of runs, and remembers the parts that do not change."""

    store: Store
    _totals: OrderedDict[str, TokenTotals] = field(default_factory=OrderedDict)
    _ended: OrderedDict[str, RunState] = field(default_factory=OrderedDict)
    _pages: OrderedDict[Place | None, tuple[float, RunList]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def newest(self, before: Place | None = None) -> RunList:
        """Return the newest runs, or those before a place. All readers of a page share one look at the database."""
        with self._lock:
            begun = time.monotonic()
            until, known = self._pages.get(before, (0.0, None))
            if known is not None and begun < until:
                return known
            found = newest_batches(self.store.engine, RUNS_A_PAGE + 1, before)
            shown = found[:RUNS_A_PAGE]
            labels = batch_labels(self.store.engine, [one.batch.id for one in shown])
            runs = [self._state(one.batch, one.counts, labels.get(one.batch.id)) for one in shown]
            last = shown[-1].batch if len(found) > len(shown) else None
            page = RunList(runs, None if last is None else (last.created_at, last.id))
            now = time.monotonic()
            _remember(self._pages, before, (now + max(RUNS_KEPT, PATIENCE * (now - begun)), page), PAGES_KEPT)
            return page

    def of(self, batch: Batch) -> RunState:
        """Return the state of one run."""
        counts = self.store.counts(batch.id)
        label = batch_labels(self.store.engine, [batch.id]).get(batch.id)
        with self._lock:
            return self._state(batch, counts, label)

    def title(self, batch: Batch) -> str:
        """Return the run's name for people."""
        return run_title(batch, batch_labels(self.store.engine, [batch.id]).get(batch.id))

    def _state(self, batch: Batch, counts: dict[JobStatus, int], label: BatchLabel | None) -> RunState:
        known = self._ended.get(batch.id)
        if known is not None and known.counts == counts:
            return known
        progress = progress_of(self.store, batch)
        tokens = add_tokens(self.store.engine, batch.id, self._totals.get(batch.id, TokenTotals()))
        _remember(self._totals, batch.id, tokens, REMEMBERED)
        is_open, finished = not progress.has_ended, progress.finished_at
        ended = sum(count for status, count in progress.counts.items() if status not in OPEN)
        # Lines of a file become jobs a window at a time.
        total = max(sum(progress.counts.values()), label.lines if label is not None else 0)
        state = RunState(
            id=batch.id,
            title=run_title(batch, label),
            kind=_KINDS.get(BatchKind(batch.kind), "List"),
            model=public_name(batch.model),
            created_at=batch.created_at,
            counts={str(status): count for status, count in progress.counts.items()},
            total=total,
            is_open=is_open,
            is_paused=is_open and batch.paused_at is not None,
            rate=progress.rate,
            seconds_left=(total - ended) / progress.rate if progress.rate else None,
            seconds=None if finished is None else max(0.0, finished - batch.created_at),
            tokens=tokens,
        )
        if not is_open:
            _remember(self._ended, batch.id, state, REMEMBERED)
        return state


def run_title(batch: Batch, label: BatchLabel | None) -> str:
    """Return the run's name for people: of a file of requests the file's name, else what the run was given."""
    return safe_text(label.file if label is not None and label.file else batch.description) or batch.id


def _remember(known: OrderedDict[Key, Value], key: Key, value: Value, most: int) -> None:
    known[key] = value
    known.move_to_end(key)
    while len(known) > most:
        known.popitem(last=False)

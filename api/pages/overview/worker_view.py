"""A worker as the page shows it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from api.pages.overview.batch_history import BatchHistory
from api.pages.overview.batch_plot import BatchPlot, batch_plot
from jobs.models.model_info import public_name
from jobs.queue.worker_state import WorkerState
from jobs.safe_text import safe_text

#: Seconds after which a worker that has published nothing is called silent. A worker publishes every second.
SILENT_AFTER = 5.0

#: How the requests of a model are batched, by its verdict.
_BATCHING = {
    "together": "prompts and answers batched",
    "one by one": "answers batched, prompts one by one",
    "alone": "one request at a time",
    "refused": "refused by the batching check",
}


@dataclass(frozen=True)
class WorkerView:
    """A worker that lives."""

    name: str
    model: str | None
    rows: int
    slots: int
    #: Further facts, each a few words.
    facts: list[str]
    plot: BatchPlot


def worker_views(workers: Sequence[WorkerState], history: BatchHistory) -> list[WorkerView]:
    """Return the views of all live workers."""
    return [
        WorkerView(
            safe_text(one.short_name),
            None if one.model is None else safe_text(public_name(one.model)),
            one.rows,
            one.slots,
            _facts(one),
            batch_plot(history.of(one.name)),
        )
        for one in workers
    ]


def _facts(worker: WorkerState) -> list[str]:
    silent = max(0.0, time.time() - worker.at)
    facts = [
        "takes no more jobs" if worker.draining else None,
        f"{worker.rate:.1f} / s" if worker.rate else None,
        safe_text(worker.fault) if worker.fault else None,
        f"bulk work waits {safe_text(worker.bulk_wait)}" if worker.bulk_wait and not worker.draining else None,
        # In steps of thirty seconds: each change is sent to all who watch.
        f"no step for {worker.step_seconds // 30 * 30:.0f} s" if worker.stands_still else None,
        None if worker.batching is None else _BATCHING.get(worker.batching, safe_text(worker.batching)),
        # In steps of five seconds: each change is sent to all who watch.
        f"last seen {silent // 5 * 5:.0f} s ago" if silent >= SILENT_AFTER else None,
    ]
    return [fact for fact in facts if fact is not None]

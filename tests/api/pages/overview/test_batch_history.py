"""The batches of the last minutes, and their plot."""

from __future__ import annotations

from redis.exceptions import ConnectionError as RedisConnectionError

from api.pages.overview.batch_history import LOOKS_KEPT, BatchHistory
from api.pages.overview.batch_plot import HEIGHT, WIDTH, batch_plot
from api.runtime.activity import Activity
from jobs.queue.worker_state import WorkerState


def test_looks_are_kept_for_minutes_also_over_gaps() -> None:
    """A worker that is away leaves a gap, and is forgotten after the kept looks; a broker that is away is no fault."""
    answers: list[list[WorkerState]] = [[_state(3)], [], [_state(5)]]
    history = BatchHistory(lambda: answers.pop(0), Activity())
    for _ in range(3):
        history.look()
    assert history.of("one") == [(2, 3, 8), (0, 5, 8)]

    def away() -> list[WorkerState]:
        raise RedisConnectionError

    history._read_workers = away
    for _ in range(LOOKS_KEPT - 1):
        history.look()
    assert history.of("one") == [(LOOKS_KEPT - 1, 5, 8)]
    history.look()
    history.look()
    assert history.of("one") == []
    assert history._looks == {}


def test_the_plot_has_only_corners_and_says_the_same_in_words() -> None:
    """A batch that stays full is a straight line, and moments without a look are empty."""
    full = batch_plot([(ago, 8, 8) for ago in range(LOOKS_KEPT, -1, -1)])
    assert full.edge == f"0,1 {WIDTH},1"
    risen = batch_plot([(1, 4, 8), (0, 4, 8)])
    assert risen.edge == f"0,{HEIGHT - 1} {WIDTH - 4},{HEIGHT - 1} {WIDTH - 2},{HEIGHT / 2:g} {WIDTH},{HEIGHT / 2:g}"
    assert risen.words == "Sequences in the batch: now 4, at most 4 of 8 slots in the last 5 minutes"
    assert batch_plot([]).edge == f"0,{HEIGHT - 1} {WIDTH},{HEIGHT - 1}"


def _state(rows: int) -> WorkerState:
    return WorkerState("one", at=1.0, rows=rows, slots=8)

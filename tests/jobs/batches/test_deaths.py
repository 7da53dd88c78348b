"""Batches through deaths of their server, and with several servers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from jobs.batches.life_cycle import BatchLife
from jobs.configuration.settings import Settings
from jobs.queue import feeding
from jobs.store.file_batches.batch_tables import FileBatch, ResultPart
from jobs.store.file_batches.file_batch_rows import FileBatches
from jobs.store.file_batches.file_lines import FileLines
from jobs.store.store import Store
from tests.support.batches import TEN, add_file_batch, answer_all, contents, ids, lead, now
from tests.support.kills import Killed, dying_at

OUTPUT = ResultPart.OUTPUT
#: Functions at whose calls the process dies.
DEADLY = [
    (FileBatches, "begin"),
    (FileLines, "add"),
    (feeding, "feed"),
    (FileBatches, "wind_down"),
    (FileBatches, "end"),
]


@pytest.mark.parametrize("after", [False, True])
def test_a_death_at_any_write_loses_and_doubles_nothing(
    life: BatchLife, store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    """Each line has one row and one job, and the results are those of an undisturbed run."""
    for place, name in DEADLY:
        batch, deaths = die_again_and_again(life, store, settings, monkeypatch, place, name, after)
        assert (batch.status, deaths >= 1) == ("completed", True), name
        assert [one["response"]["body"] for one in contents(store, batch.id, OUTPUT)] == [
            {"text": str(number)} for number in range(10)
        ]
        assert len(store.jobs(batch_id=batch.id)) == 10


def die_again_and_again(
    life: BatchLife,
    store: Store,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    place: Any,
    name: str,
    after: bool,
) -> tuple[FileBatch, int]:
    """Lead a batch to its end, through a death at the first call of a function, the second, and so on; return the deaths."""
    batch = add_file_batch(store, settings, TEN)
    deaths = 0
    for point in range(1, 20):
        with monkeypatch.context() as deadly:
            deadly.setattr(place, name, dying_at(point, getattr(place, name), after=after))
            try:
                lead(life, store, batch)
            except Killed:
                deaths += 1
                continue
        break
    return now(store, batch), deaths


def test_two_runners_feed_one_batch(life: BatchLife, store: Store, settings: Settings) -> None:
    """Each line becomes one job, whichever runner was faster."""
    batch = add_file_batch(store, settings, TEN)

    def run() -> None:
        while not (mine := now(store, batch)).has_ended:
            life.advance(mine)
            answer_all(store, batch.id)

    with ThreadPoolExecutor(3) as threads:
        for future in [threads.submit(run) for _ in range(3)]:
            future.result()
    assert now(store, batch).status == "completed"
    assert ids(contents(store, batch.id, OUTPUT)) == [str(number) for number in range(10)]
    assert len(store.jobs(batch_id=batch.id)) == 10

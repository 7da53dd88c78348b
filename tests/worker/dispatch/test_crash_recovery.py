"""Recovery after a worker's death, also if it dies too."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis import Redis

from jobs.captions.temporary_files import temporary_name
from jobs.queue import feeding
from jobs.queue.feeding import Feeder, feed
from jobs.queue.lanes import lanes
from jobs.store.store import Store
from tests.support.kills import Killed, dying_at
from tests.support.rows import make_job
from worker.dispatch.crash_recovery import recover


@pytest.mark.parametrize("after", [False, True])
def test_a_death_during_recovery_leaves_no_temporary_file(
    store: Store, connection: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, after: bool
) -> None:
    """Before the rows are taken back, and after: then no row names the folder any more. Files of other workers stay."""
    output = tmp_path / "photo.txt"
    job = make_job("photo", None)
    job.output = output.as_uri()
    store.add([job])
    store.claim([job.id], "worker")
    (tmp_path / temporary_name("worker")).touch()
    (other := tmp_path / temporary_name("another")).touch()
    with monkeypatch.context() as patch:
        patch.setattr(Store, "recover", dying_at(1, Store.recover, after=after))
        with pytest.raises(Killed):
            recover("worker", store, connection)
    recover("worker", store, connection)
    assert list(tmp_path.glob(".captionq-*")) == [other]


@pytest.mark.parametrize("after", [False, True])
def test_the_rows_of_a_worker_that_died_while_it_fed_are_fed_at_once(
    store: Store, connection: Redis, monkeypatch: pytest.MonkeyPatch, *, after: bool
) -> None:
    """Its lock would keep others from feeding for a while, and a worker that ends with the last entry would leave the rows."""
    job = make_job("photo", None)
    job.output = None
    store.add([job])
    monkeypatch.setattr(Feeder, "_arrange", dying_at(1, Feeder._arrange, after=after))
    # A killed process runs no `finally`.
    monkeypatch.setattr(feeding, "RELEASE", "return 0")
    with pytest.raises(Killed):
        feed(store, connection)
    monkeypatch.undo()
    recover("worker", store, connection)
    assert lanes(connection)[1].get_job_ids() == [job.id]
    assert not connection.exists("captionq:feeding")

"""The setting `keep_days` in a worker: it removes old rows while it waits for jobs."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from jobs.configuration.settings import Settings
from jobs.models.model_info import STUB
from jobs.store.connection import writing
from jobs.store.retention import keep_days
from jobs.store.store import Store
from tests.support.processes import until
from tests.support.rows import add_batch
from worker import service


def test_an_idle_worker_removes_old_rows(settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Younger rows stay, and the worker ends as ever."""
    monkeypatch.setattr(keep_days, "LOOK_EVERY", 0.05)
    batches = [add_batch(store, 2) for _ in range(2)]
    store.cancel([job.id for _, jobs in batches for job in jobs])
    (old, _), (young, _) = batches
    with writing(store.engine) as connection:
        connection.exec_driver_sql(f"UPDATE batch SET created_at = 0 WHERE id = '{old.id}'")
        connection.exec_driver_sql(f"UPDATE job SET created_at = 0, finished_at = 0 WHERE batch_id = '{old.id}'")

    # Perhaps that of a worker of an earlier test.
    handler = signal.getsignal(signal.SIGTERM)

    def stop() -> None:
        try:
            until(lambda: signal.getsignal(signal.SIGTERM) != handler, "the worker")
            until(lambda: len(store.jobs()) == 2, "the removal")
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    stopping = threading.Thread(target=stop)
    stopping.start()
    service.run(settings.model_copy(update={"model": STUB, "keep_days": 1.0}))
    stopping.join()
    assert {job.batch_id for job in store.jobs()} == {young.id}
    assert "retention" not in [thread.name for thread in threading.enumerate()]

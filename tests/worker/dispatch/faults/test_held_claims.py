"""Answers that waited for the database while another worker took their jobs over."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from jobs.configuration.settings import Settings
from jobs.queue.lanes import Entry
from jobs.store.store import Store
from jobs.store.tables import JobStatus
from tests.worker.dispatch.faults.conftest import QueueTexts
from worker import service
from worker.dispatch.claim_watch import ClaimWatch
from worker.pipeline.stub_pipeline import StubPipeline

pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("looks", [True, False])
def test_a_held_answer_is_refused_when_another_worker_has_the_job(
    stub: Settings,
    store: Store,
    connection: Redis,
    queue_texts: QueueTexts,
    tmp_path: Path,
    looks: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No row, no file, and the entry stays. The claims alone see to it, whether the rows are looked at before or not."""
    (taken, kept) = queue_texts(tmp_path / "pictures", 2)
    step, generated = StubPipeline.step, list[str]()
    other = sqlite3.connect(stub.data_dir / "captionq.db", isolation_level=None, check_same_thread=False)

    def take_over() -> None:
        other.execute("UPDATE job SET worker = 'other', attempts = attempts + 1 WHERE id = ?", (taken.id,))
        other.commit()

    def step_and_lock(pipeline: StubPipeline) -> Any:
        outcomes = step(pipeline)
        if outcomes and not generated:
            other.execute("BEGIN EXCLUSIVE")
            threading.Timer(0.5, take_over).start()
        generated.extend(outcome.key for outcome in outcomes)
        return outcomes

    monkeypatch.setattr(StubPipeline, "step", step_and_lock)
    if not looks:
        monkeypatch.setattr(ClaimWatch, "_look", lambda watch: None)
    with closing(other):
        service.run(stub, burst=True)
    row = store.job(taken.id)
    assert (row.status, row.attempts, row.worker, row.text) == (JobStatus.RUNNING, 2, "other", None)
    assert connection.exists(Entry.key_for(taken.id))
    assert store.job(kept.id).status == JobStatus.SUCCEEDED
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == ["1.txt"]
    assert sorted(generated) == sorted([taken.id, kept.id])

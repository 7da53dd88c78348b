"""Claims as fencing tokens: a worker whose job was taken back changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.captions.outputs.recorded_write import write_recorded
from jobs.errors import ClaimLostError, EngineError
from jobs.store.claims import Claim, lost_claims
from jobs.store.result import FileChange
from jobs.store.store import Store
from jobs.store.tables import Job, JobStatus
from jobs.store.written.written_files import WrittenFiles
from tests.support.rows import RESULT, make_job

CHANGE = FileChange("a", "b", None, b"before")
#: Every change that a worker makes of a row.
WRITES: dict[str, Callable[[Store, Claim], bool]] = {
    "keep_answer": lambda store, claim: store.keep_answer(claim, "A stale text.", CHANGE),
    "succeed": lambda store, claim: store.succeed(claim, RESULT),
    "fail": lambda store, claim: store.fail(claim, EngineError("A stale error."), RESULT),
    "release": lambda store, claim: store.release(claim, EngineError("A stale error."), RESULT),
    "ask_again": lambda store, claim: store.ask_again(claim, make_job().parsed_request(), "key"),
}


def taken_over(store: Store, by: str | None) -> tuple[Claim, Job]:
    """Return a claim that has been lost, and the job's row: queued again, or run by another worker or by the same one again."""
    job = make_job()
    store.add([job])
    stale = Claim.of(store.claim([job.id], "paused")[job.id])
    store.recover("paused")
    if by is not None:
        store.claim([job.id], by)
    return stale, store.job(job.id)


@pytest.mark.parametrize("by", [None, "other", "paused"])
def test_no_write_of_a_lost_claim_changes_the_row(store: Store, by: str | None) -> None:
    """Also if the worker itself runs the job again: the number of the attempt counts."""
    stale, before = taken_over(store, by)
    for write in WRITES.values():
        assert not write(store, stale)
    assert store.job(stale.job_id) == before
    assert lost_claims(store.engine, [stale]) == {stale.job_id: JobStatus(before.status)}


@pytest.mark.parametrize("write", WRITES)
def test_the_claim_of_the_running_attempt_writes(store: Store, write: str) -> None:
    """The job's second attempt, which another worker began."""
    _, job = taken_over(store, "other")
    assert lost_claims(store.engine, [Claim.of(job)]) == {}
    assert WRITES[write](store, Claim.of(job))


def test_a_claim_of_a_job_that_is_gone_is_lost(store: Store) -> None:
    """Its row may have been pruned."""
    claim = Claim("job_gone", 1, "worker")
    assert lost_claims(store.engine, [claim]) == {"job_gone": None}
    assert not store.succeed(claim, RESULT)


@pytest.mark.parametrize("lost_at", ["record", "name"])
def test_no_file_is_written_in_a_lost_claim(
    store: Store, tmp_path: Path, lost_at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker was suspended before the change was recorded, or between the record and the file's name."""
    job = make_job()
    store.add([job])
    claimed = store.claim([job.id], "paused")[job.id]
    files, path = WrittenFiles(store.engine), tmp_path / "photo.txt"
    record = WrittenFiles.record

    def record_and_sleep(*arguments: object) -> None:
        record(*arguments)  # type: ignore[arg-type]
        store.recover("paused")

    if lost_at == "record":
        store.recover("paused")
    else:
        monkeypatch.setattr(WrittenFiles, "record", record_and_sleep)
    with pytest.raises(ClaimLostError):
        write_recorded(path, b"stale\n", replaces=None, job=claimed, kind="txt", files=files, writer="paused")
    assert list(tmp_path.glob("*.txt")) == []
    assert files.kinds(job.id) == ({"txt"} if lost_at == "name" else set())

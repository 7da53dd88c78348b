"""The store: guarded state changes, and what each call reads."""

from __future__ import annotations

import fcntl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text
from sqlmodel import SQLModel

from jobs.database import SCHEMA_VERSION, open_database
from jobs.errors import BrokerError, ImageError, NotFoundError
from jobs.settings import Settings
from jobs.store import MAX_DEATHS, Store
from jobs.tables import JobStatus
from tests.rows import RESULT, add_batch, make_job

TERMINAL = (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED)


def end(store: Store, job_id: str, status: JobStatus) -> None:
    """Bring a queued job to a terminal state the way the worker does."""
    store.claim(job_id, "worker")
    match status:
        case JobStatus.SUCCEEDED:
            store.succeed(job_id, RESULT)
        case JobStatus.FAILED:
            store.fail(job_id, ImageError())
        case _:
            store.cancel([job_id])


def test_a_job_is_claimed_by_one_worker_only(store: Store) -> None:
    """Of many claims at once exactly one gets the job."""
    job = make_job()
    store.add([job])
    won: list[str] = []

    def claim(worker: str) -> None:
        if store.claim(job.id, worker) is not None:
            won.append(worker)

    threads = [threading.Thread(target=claim, args=(f"worker-{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert store.job(job.id).worker == won[0]
    assert store.job(job.id).attempts == 1


@pytest.mark.parametrize("status", TERMINAL)
def test_terminal_states_are_final(store: Store, status: JobStatus) -> None:
    """No method leaves a terminal state, and the row does not change."""
    job = make_job()
    store.add([job])
    end(store, job.id, status)
    before = store.job(job.id)
    assert before.status == status
    assert store.claim(job.id, "other") is None
    assert not store.succeed(job.id, RESULT)
    assert not store.fail(job.id, ImageError())
    assert not store.release(job.id)
    assert store.cancel([job.id]) == []
    assert store.adopt([job.id], "elsewhere") == 0
    assert store.job(job.id) == before


def test_a_result_is_stored_with_its_usage_and_timings(store: Store) -> None:
    """What a generation gave is in the row, whole."""
    job = make_job()
    store.add([job])
    store.claim(job.id, "worker")
    assert store.succeed(job.id, RESULT)
    row = store.job(job.id)
    assert (row.text, row.finish_reason) == (RESULT.text, "stop")
    assert (row.prompt_tokens, row.image_tokens, row.completion_tokens) == (40, 16, 9)
    assert (row.preprocess_seconds, row.prefill_seconds, row.decode_seconds) == (0.01, 0.02, 0.03)
    assert row.queue_seconds is not None
    assert row.queue_seconds >= 0


def test_several_are_claimed_at_once(store: Store) -> None:
    """Those that are still queued; a glance shows where they are and what their turns depend on."""
    waiting, running, cancelled = jobs = [make_job(name) for name in "123"]
    store.add(jobs)
    store.claim(running.id, "other")
    store.cancel([cancelled.id])
    ids = [*(job.id for job in jobs), "job_unknown"]
    glance = store.glance(ids)
    assert [glance[job.id].status for job in jobs] == ["queued", "running", "cancelled"]
    assert (len(glance), glance[waiting.id].model, glance[waiting.id].deaths) == (3, "demo", 0)
    claimed = store.claim_all(ids, "worker")
    assert list(claimed) == [waiting.id]
    assert (claimed[waiting.id].worker, claimed[waiting.id].attempts) == ("worker", 1)
    assert store.job(running.id).worker == "other"


def test_a_result_of_a_cancelled_job_is_dropped(store: Store) -> None:
    """Cancelled while it ran: the result comes too late, and its sender learns it."""
    job = make_job()
    store.add([job])
    store.claim(job.id, "worker")
    assert store.cancel([job.id]) == [job.id]
    assert not store.succeed(job.id, RESULT)
    assert store.job(job.id).text is None


def test_a_released_job_can_be_claimed_again_and_keeps_its_count(store: Store) -> None:
    """A transient error leads back to queued, with the reason and the number of attempts."""
    job = make_job()
    store.add([job])
    store.claim(job.id, "worker")
    assert store.release(job.id, BrokerError())
    assert store.job(job.id).error_code == "broker_unavailable"
    again = store.claim(job.id, "worker")
    assert again is not None
    assert again.attempts == 2


def test_recovery_takes_back_what_the_dead_worker_ran_and_nothing_else(store: Store) -> None:
    """Another worker's jobs and ended ones are not touched."""
    mine, theirs, ended = make_job("1"), make_job("2"), make_job("3")
    store.add([mine, theirs, ended])
    store.claim(mine.id, "worker")
    store.claim(theirs.id, "other")
    end(store, ended.id, JobStatus.SUCCEEDED)
    assert store.recover("worker").requeued == [mine.id]
    assert [store.job(job.id).status for job in (mine, theirs, ended)] == ["queued", "running", "succeeded"]


def test_a_job_that_kills_its_worker_again_and_again_is_given_up(store: Store) -> None:
    """At the third death it fails as poison."""
    job = make_job()
    store.add([job])
    for _ in range(MAX_DEATHS - 1):
        store.claim(job.id, "worker")
        assert store.recover("worker").requeued == [job.id]
    store.claim(job.id, "worker")
    assert store.recover("worker").poisoned == [job.id]
    assert (store.job(job.id).status, store.job(job.id).error_code) == ("failed", "poison")


def test_ended_jobs_are_numbered_in_the_order_of_their_ends(store: Store) -> None:
    """The number is a cursor: whoever follows sees every job once, whatever its end."""
    batch, jobs = add_batch(store, 3)
    end(store, jobs[2].id, JobStatus.SUCCEEDED)
    end(store, jobs[0].id, JobStatus.FAILED)
    store.cancel([jobs[1].id])
    followed = store.finished_after(batch.id, 0)
    assert [job.id for job in followed] == [jobs[2].id, jobs[0].id, jobs[1].id]
    assert [job.finished_order for job in followed] == [1, 2, 3]
    assert store.finished_after(batch.id, 3) == []


def test_counts_name_every_status(store: Store) -> None:
    """Statuses without jobs are 0, and a batch counts its own."""
    batch, jobs = add_batch(store, 3)
    store.add([make_job("elsewhere")])
    end(store, jobs[0].id, JobStatus.SUCCEEDED)
    assert store.counts(batch.id) == {
        JobStatus.QUEUED: 2,
        JobStatus.RUNNING: 0,
        JobStatus.SUCCEEDED: 1,
        JobStatus.FAILED: 0,
        JobStatus.CANCELLED: 0,
    }
    assert store.counts()[JobStatus.QUEUED] == 3


def test_open_jobs_move_to_the_batch_that_takes_them_up(store: Store) -> None:
    """An interrupted run's rows become the next run's; what has ended stays where it was."""
    batch, jobs = add_batch(store, 2)
    other, _ = add_batch(store, 1)
    end(store, jobs[0].id, JobStatus.SUCCEEDED)
    assert store.adopt([job.id for job in jobs], other.id) == 1
    assert store.job(jobs[1].id).batch_id == other.id
    assert store.job(jobs[0].id).batch_id == batch.id


def test_a_missing_job_is_named(store: Store) -> None:
    """The error quotes the id and says where to look."""
    with pytest.raises(NotFoundError, match=r"'job_nowhere'.*jobs list"):
        store.job("job_nowhere")


def test_the_database_survives_in_wal_mode_with_foreign_keys(settings: Settings, store: Store) -> None:
    """The pragmas that durability and integrity rest on are on, in every connection."""
    engine = open_database(settings)
    with engine.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
        }
    engine.dispose()
    assert pragmas == {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 1, "busy_timeout": 30000}


def test_the_migrations_make_the_tables_that_the_code_declares(settings: Settings, store: Store) -> None:
    """Columns and indexes agree, and the version constant is the newest migration."""
    scripts = ScriptDirectory(str(Path("jobs/migrations").absolute()))
    assert scripts.get_current_head() == SCHEMA_VERSION
    engine = open_database(settings)
    inspector = inspect(engine)
    for table in SQLModel.metadata.sorted_tables:
        found = {(column["name"], column["nullable"]) for column in inspector.get_columns(table.name)}
        assert found == {(column.name, column.nullable) for column in table.columns}
        indexes = {(index["name"], tuple(index["column_names"])) for index in inspector.get_indexes(table.name)}
        assert indexes == {(index.name, tuple(index.columns.keys())) for index in table.indexes}
    engine.dispose()


def test_a_database_of_the_first_version_is_brought_up_to_date_in_place(settings: Settings) -> None:
    """Its rows stay as they are, and results may hold what is new."""
    engine = create_engine(settings.database)
    config = Config()
    config.set_main_option("script_location", "jobs/migrations")
    old = make_job()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        names = [column["name"] for column in inspect(connection).get_columns("job")]
        columns, values = ", ".join(names), ", ".join(f":{name}" for name in names)
        connection.execute(text(f"INSERT INTO job ({columns}) VALUES ({values})"), old.model_dump(include=set(names)))
    engine.dispose()
    assert "quality" not in names
    store = Store(settings)
    assert store.job(old.id) == old
    store.claim(old.id, "worker")
    assert store.succeed(old.id, replace(RESULT, quality="empty", logprobs="[]"))
    assert (store.job(old.id).quality, store.job(old.id).logprobs) == ("empty", "[]")
    store.close()


def test_a_new_database_is_touched_by_one_at_a_time(settings: Settings) -> None:
    """Not even a look: while anybody reads it, SQLite refuses to switch it to WAL, and waits for nobody."""
    settings.make_folders()
    with ThreadPoolExecutor(1) as threads, (settings.data_dir / "migration.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        opening = threads.submit(Store, settings)
        time.sleep(0.3)
        assert not (settings.data_dir / "captionq.db").exists()
        fcntl.flock(lock, fcntl.LOCK_UN)
        opening.result().close()


def test_many_may_open_a_new_database_at_once(settings: Settings) -> None:
    """The first one makes it, the others wait for it."""
    together = threading.Barrier(6)

    def open_one(_: int) -> Store:
        together.wait()
        return Store(settings)

    with ThreadPoolExecutor(6) as threads:
        stores = list(threads.map(open_one, range(6)))
    for store in stores:
        assert sum(store.counts().values()) == 0
        store.close()

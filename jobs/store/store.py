"""The system of record: every change of a job's state is one method and one transaction.

Each change is an `UPDATE … WHERE status IN (…)`, guarded by the states that the change may leave. Of two changes that race, one
wins, and the other learns from the row count that it lost. Terminal states are final; only `pruning.py` deletes a row.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict

from sqlalchemy import Connection, Table, and_, insert, select, update
from sqlmodel import SQLModel

from jobs.chunks import chunked
from jobs.errors import CaptionqError
from jobs.requests import Request
from jobs.store.claims import Claim
from jobs.store.connection import writing
from jobs.store.queries.job_queries import JobQueries, as_job
from jobs.store.recovery import Recovered, take_back
from jobs.store.result import FileChange, Result
from jobs.store.rows.insertion import insert_rows
from jobs.store.rows.vocabularies import with_reference
from jobs.store.state_changes import (
    cancel_all,
    cancel_jobs,
    change_caption,
    end_jobs,
    pause_batch,
    resume_batch,
    update_jobs,
    update_running,
)
from jobs.store.statements import CLAIM, MOVE, ROWS_A_STATEMENT
from jobs.store.tables import OPEN, Batch, Job, JobStatus
from jobs.store.webhooks.webhook_rows import add_webhooks
from jobs.store.webhooks.webhook_table import Webhook
from jobs.store.written.output_writers import TakenUp, insert_jobs, sort_out, writers_of

_job: Table = SQLModel.metadata.tables["job"]
_batch: Table = SQLModel.metadata.tables["batch"]


class Store(JobQueries):
    """Store of jobs and batches. Safe to use from several processes and threads at once."""

    def add_batch(self, batch: Batch) -> None:
        """Insert a batch, before its jobs."""
        with writing(self._engine) as connection:
            connection.execute(insert(_batch).values(batch.model_dump()))

    def complete(self, batch_id: str, webhooks: Sequence[Webhook] = ()) -> bool:
        """Mark a batch complete, now that all its jobs are there, and add the webhooks for its end.

        Returns False, and adds none, if the batch was given up meanwhile.
        """
        with writing(self._engine) as connection:
            if not self._complete(connection, batch_id):
                return False
            add_webhooks(connection, webhooks)
            return True

    def give_up(self, batch_id: str) -> bool:
        """Close an incomplete batch to further jobs, and free its idempotency key. Returns False if it was complete."""
        with writing(self._engine) as connection:
            return self._complete(connection, batch_id, idempotency_key=None)

    def pause(self, batch_id: str, now: float) -> bool:
        """Let the queued jobs of a batch wait. Returns False if the batch is paused already, or has ended."""
        with writing(self._engine) as connection:
            return pause_batch(connection, batch_id, now)

    def resume(self, batch_id: str) -> None:
        """End the pause of a batch."""
        with writing(self._engine) as connection:
            resume_batch(connection, batch_id)

    def add(self, jobs: Sequence[Job]) -> None:
        """Insert queued jobs in one transaction, at most some hundreds: the worker cannot write meanwhile.

        A job that carries an error ends at once, as failed. Raises ConflictError if two open jobs would write one file.
        """
        with writing(self._engine) as connection:
            insert_jobs(connection, jobs)
            self._end_refused(connection, jobs)

    def take_up(self, jobs: Sequence[Job], batch_id: str, dead: Collection[str]) -> TakenUp:
        """Insert the jobs whose files no open job writes; for the others, take over or cancel the open jobs of dead runs.

        This is one transaction, so of two commands that come at the same moment one queues a job and the other finds it.

        Args:
            jobs: at most some hundreds, of the batch `batch_id`.
            dead: ids of batches whose command has ended.
        """
        with writing(self._engine) as connection:
            writers = writers_of(connection, [job.output for job in jobs if job.output is not None])
            taken = sort_out(jobs, writers, dead)
            end_jobs(connection, taken.superseded, OPEN, JobStatus.CANCELLED)
            if moves := taken.moves(batch_id):
                connection.execute(MOVE, moves)
            for job_id, before in taken.texts.items():
                # A file that a dead worker has written, or was about to write, is known already (`Job.expect_text`).
                known = (_job.c.output_before, _job.c.output_after)
                is_new = and_(*(column.is_distinct_from(before) for column in known))
                update_jobs(connection, [job_id], OPEN, is_new, output_before=before, output_after=None)
            if taken.new:
                insert_rows(connection, taken.new)
                self._end_refused(connection, taken.new)
        return taken

    def adopt(self, ids: Sequence[str], batch_id: str, dead: Collection[str]) -> int:
        """Move open jobs from dead runs into the batch of the run that takes them over. Returns how many moved.

        Jobs that another run has taken over before stay there. `dead`: ids of batches whose command has ended.
        """
        moved = 0
        for chunk in chunked(ids, ROWS_A_STATEMENT):
            with writing(self._engine) as connection:
                moved += update_jobs(connection, chunk, OPEN, _job.c.batch_id.in_(dead), batch_id=batch_id)
        return moved

    def cancel_abandoned(
        self, outputs: Iterable[str], dead: Collection[str], leaving: Sequence[JobStatus] = OPEN
    ) -> list[str]:
        """Cancel the jobs of dead runs that write these files. Returns the ids of the cancelled jobs.

        Args:
            outputs: addresses of the files.
            dead: ids of batches whose command has ended.
            leaving: only jobs in one of these states.
        """
        cancelled: list[str] = []
        for chunk in chunked(outputs, ROWS_A_STATEMENT):
            with writing(self._engine) as connection:
                writers = writers_of(connection, chunk).values()
                left = [writer.job_id for writer in writers if writer.batch_id in dead]
                query = select(_job.c.id).where(_job.c.id.in_(left), _job.c.status.in_(leaving))
                ids = list(connection.execute(query).scalars())
                end_jobs(connection, ids, tuple(leaving), JobStatus.CANCELLED)
                cancelled += ids
        return cancelled

    def claim(self, ids: Sequence[str], worker: str) -> dict[str, Job]:
        """Claim the jobs that are still queued and not paused: queued → running. Returns the claimed jobs by id."""
        now = time.time()
        values = {"status": JobStatus.RUNNING, "worker": worker, "started_at": now}
        # After a power failure nobody runs the jobs: they are recovered, or still queued.
        with writing(self._engine, durable=False) as connection:
            rows = connection.execute(CLAIM, {"ids": ids, "now": now, **values}).mappings().all()
            return {row["id"]: as_job(row, connection) for row in rows}

    def keep_answer(self, claim: Claim | str, text: str, file: FileChange) -> bool:
        """Store the answer of a running job before its file is written. Returns False if the job was cancelled meanwhile.

        Here and below a worker gives its claim of the job, and the change is refused if another worker has taken the job over.
        A bare id will do where no claim can be out of date.

        If the worker dies after that, the next attempt knows the file as the job's own, whether it was written or not.
        """
        return self._change_running(claim, text=text, **asdict(file))

    def succeed(self, claim: Claim | str, result: Result) -> bool:
        """Store the result: running → succeeded. Returns False if the job was cancelled meanwhile: the result is dropped."""
        return self._finish([claim], (JobStatus.RUNNING,), JobStatus.SUCCEEDED, **asdict(result)) == 1

    def fail(self, claim: Claim | str, error: CaptionqError, result: Result | None = None) -> bool:
        """Store the error: queued or running → failed. Returns False if the job had ended.

        `result` is stored too, for a job that has an answer: it is not as asked, or its file could not be written.
        """
        values = {} if result is None else asdict(result)
        error_values = {"error_code": error.code, "error_message": error.message}
        leaving = OPEN if isinstance(claim, str) else (JobStatus.RUNNING,)
        return self._finish([claim], leaving, JobStatus.FAILED, **error_values, **values) == 1

    def release(self, claim: Claim | str, error: CaptionqError | None = None, result: Result | None = None) -> bool:
        """Return a job to the queue: running → queued. Returns False if the job was not running.

        The worker stops before the job is done, or tries it again after a transient `error`, which is stored. `result` is
        stored too, for a job of which only the writing of the file failed: the next attempt only writes the file.
        """
        values: dict[str, object] = {} if result is None else asdict(result)
        if error is not None:
            values |= {"error_code": error.code, "error_message": error.message}
        return self._change_running(claim, status=JobStatus.QUEUED, worker=None, **values)

    def ask_again(self, claim: Claim | str, request: Request, first_key: str | None = None) -> bool:
        """Return a job to the queue with a changed request: running → queued. Returns False if the job was not running.

        Its answer has a flaw, and is dropped. `first_key`: the key in the result cache of the question as it was first asked.
        """
        values = {"quality_retries": _job.c.quality_retries + 1, "cache_key": first_key, "worker": None}
        with writing(self._engine) as connection:
            values["request"] = with_reference(connection, request.model_dump_json())
            return update_running(connection, claim, status=JobStatus.QUEUED, **values)

    def review(self, job_id: str, edited_text: str | None = None) -> bool:
        """Note that a person has reviewed an answer, and perhaps edited its text. Returns False if the job has not ended."""
        values = {} if edited_text is None else {"edited_text": edited_text}
        return self._review(job_id, reviewed_at=time.time(), **values)

    def drop_edit(self, job_id: str) -> bool:
        """Forget a person's edit and review of an answer. Returns False if the job has not ended."""
        return self._review(job_id, reviewed_at=None, edited_text=None)

    def cancel(self, ids: Sequence[str]) -> list[str]:
        """Cancel jobs: queued or running → cancelled. Returns the ids that this call cancelled; the others had ended."""
        return cancel_jobs(self._engine, ids)

    def cancel_batch(self, batch_id: str, on_progress: Callable[[int], None] | None = None) -> int:
        """Cancel all open jobs of a batch, and call `on_progress` with their number so far. Returns how many it cancelled."""
        return cancel_all(self._engine, batch_id, on_progress)

    def recover(self, worker: str, *, died: bool = True, keeping: Collection[str] = ()) -> Recovered:
        """Take back the jobs that a dead worker of this name was running: running → queued, or → failed as `poison`.

        Only the process that holds this name now may call it, or one that has found the worker lost
        (`jobs/queue/workers/lost_workers.py`). Jobs that the worker claims after the call, because it lives, stay with it.

        Args:
            died: whether the jobs may have caused the worker's death, which then counts as one of each job's deaths.
            keeping: ids of jobs that do run, and stay as they are.
        """
        return take_back(self._engine, worker, died=died, keeping=keeping)

    def _end_refused(self, connection: Connection, jobs: Sequence[Job]) -> None:
        """End new jobs that carry an error: queued → failed."""
        refused = [job.id for job in jobs if job.error_code is not None]
        end_jobs(connection, refused, (JobStatus.QUEUED,), JobStatus.FAILED)

    def _complete(self, connection: Connection, batch_id: str, **values: object) -> bool:
        guard = (_batch.c.id == batch_id) & _batch.c.complete.is_(False)
        return connection.execute(update(_batch).where(guard).values(complete=True, **values)).rowcount == 1

    def _change_running(self, claim: Claim | str, **values: object) -> bool:
        with writing(self._engine) as connection:
            return update_running(connection, claim, **values)

    def _review(self, job_id: str, **values: object) -> bool:
        with writing(self._engine) as connection:
            return change_caption(connection, job_id, (JobStatus.SUCCEEDED, JobStatus.FAILED), **values)

    def _finish(
        self, ids: Sequence[Claim | str], leaving: tuple[JobStatus, ...], status: JobStatus, **values: object
    ) -> int:
        with writing(self._engine) as connection:
            return end_jobs(connection, ids, leaving, status, **values)

"""The rule that at most one open job writes a text file. Of two, the job that ends last would overwrite the other's text.

The functions here take the connection of a write transaction, so that the rows they read do not change until its end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, Table, select
from sqlmodel import SQLModel

from jobs.chunks import chunked
from jobs.errors import ConflictError
from jobs.store.rows.insertion import insert_rows
from jobs.store.statements import ROWS_A_STATEMENT, has_output, outputs_parameter
from jobs.store.tables import OPEN, BatchKind, Job

_job: Table = SQLModel.metadata.tables["job"]
_batch: Table = SQLModel.metadata.tables["batch"]
#: The condition has an operator so that SQLite does not choose the index on the status, which leads to all open jobs.
_IS_OPEN = (_job.c.status + "").in_(OPEN)


@dataclass(frozen=True)
class Writer:
    """An open job that will write a file."""

    job_id: str
    output: str
    digest: str
    batch_id: str | None
    #: The `BatchKind`; None: the job has no batch.
    kind: str | None

    @property
    def maker(self) -> str:
        """The name of the request or command that queued the job, for messages."""
        made_by = {
            BatchKind.RUN: "another run",
            BatchKind.FOLDER: "POST /v1/folders",
            BatchKind.LIST: "POST /v1/jobs",
            BatchKind.FILE: "POST /v1/batches",
            BatchKind.SAMPLE: "a sample",
        }
        return f"{made_by[BatchKind(self.kind)]} ({self.batch_id})" if self.kind else self.job_id


@dataclass
class TakenUp:
    """Outcome of an attempt to queue the jobs of a run."""

    new: list[Job] = field(default_factory=list)
    #: Ids of a dead run's open jobs with the same request; they are in the batch of this run now.
    resumed: list[str] = field(default_factory=list)
    #: For resumed jobs, by id: the SHA-256 of the text that the job is to replace, as the text is now.
    texts: dict[str, str] = field(default_factory=dict)
    #: For resumed jobs, by id: their places in this run.
    positions: dict[str, int] = field(default_factory=dict)
    #: Ids of a dead run's open jobs with another request, to be cancelled.
    superseded: list[str] = field(default_factory=list)
    #: Open jobs of other runs and requests with the same request.
    followed: list[Writer] = field(default_factory=list)
    #: Open jobs of other runs and requests with another request and the same file.
    refused: list[Writer] = field(default_factory=list)

    def moves(self, batch_id: str) -> list[dict[str, object]]:
        """Return the parameters of `MOVE` that bring the resumed jobs into this run."""
        return [
            {"job_id": job_id, "new_batch": batch_id, "new_position": position}
            for job_id, position in self.positions.items()
        ]

    @property
    def queued(self) -> list[str]:
        """Ids of the new jobs that wait. A new job that carries an error has ended at once."""
        return [job.id for job in self.new if job.error_code is None]


def writers_of(connection: Connection, outputs: Iterable[str]) -> dict[str, Writer]:
    """Find the open jobs that write these files, by the files' addresses."""
    columns = (_job.c.id, _job.c.output, _job.c.digest, _job.c.batch_id, _batch.c.kind)
    query = select(*columns).join_from(_job, _batch, isouter=True).where(has_output(connection), _IS_OPEN)
    found: dict[str, Writer] = {}
    for chunk in chunked(outputs, ROWS_A_STATEMENT):
        rows = connection.execute(query, outputs_parameter(connection, chunk))
        found.update((row.output, Writer(*row)) for row in rows)
    return found


def insert_jobs(connection: Connection, jobs: Sequence[Job]) -> None:
    """Insert queued jobs. Raises ConflictError if an open job writes the file of a new job, or if two new jobs write one file."""
    outputs = Counter(job.output for job in jobs if job.output is not None)
    if busy := writers_of(connection, outputs):
        raise busy_error(list(busy.values()))
    if twice := [output for output, count in outputs.items() if count > 1]:
        raise ConflictError(f"Two of these jobs would write the same file: {twice[0]}. Leave out one of their images.")
    insert_rows(connection, jobs)


def sort_out(jobs: Sequence[Job], writers: Mapping[str, Writer], dead: Collection[str]) -> TakenUp:
    """Decide for each job of a run: queue it, or resume, replace, follow or refuse the open job that writes its file.

    Args:
        writers: the open jobs that write the jobs' files, by address.
        dead: ids of batches whose command has ended.
    """
    outputs = [job.output for job in jobs]
    if not writers and None not in outputs and len(set(outputs)) == len(outputs):
        # A run over new images: nothing to decide.
        return TakenUp(new=list(jobs))
    taken, writers = TakenUp(), dict(writers)
    for job in jobs:
        writer = writers.get(job.output or "")
        job_id = job.id
        if writer is None:
            taken.new.append(job)
        elif writer.batch_id == job.batch_id and writer.digest == job.digest:
            continue
        elif writer.batch_id not in dead:
            (taken.followed if writer.digest == job.digest else taken.refused).append(writer)
            continue
        elif writer.digest == job.digest:
            job_id = writer.job_id
            taken.resumed.append(job_id)
            taken.positions[job_id] = job.position
            if job.output_before is not None:
                taken.texts[job_id] = job.output_before
        else:
            taken.superseded.append(writer.job_id)
            taken.new.append(job)
        if job.output is not None:
            # Of two images of this run with one file, the second finds the first one's job.
            writers[job.output] = Writer(job_id, job.output, job.digest, job.batch_id, BatchKind.RUN)
    return taken


def busy_error(busy: Sequence[Writer]) -> ConflictError:
    """Return the error of a request some of whose files other open jobs will write."""
    return ConflictError(
        f"Open jobs exist already for {len(busy)} of these images, the first of them queued by {busy[0].maker}. "
        "Wait until these jobs have ended, or cancel them."
    )

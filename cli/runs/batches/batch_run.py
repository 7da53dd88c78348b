"""`captionq batch run`: the requests of a file, answered on this Mac without a server."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import click

from api.batches.endpoints import ENDPOINTS, rendered
from api.batches.line_intake import job_of_line
from api.middleware.request_metrics import RequestMetrics
from api.runtime.activity import Activity
from api.runtime.resources import Resources, open_resources
from cli.exit_status import ALL_CAPTIONED, INTERRUPTED, SOME_FAILED
from cli.output.plurals import counted
from cli.output.progress_bar import ProgressBar, RunRate
from cli.runs.batches.batch_output import BatchOutput, open_output
from cli.runs.left_jobs import cancel_left_jobs
from cli.runs.processes.services import Services, services
from jobs.batches.feeding import LINES_A_TRANSACTION, WINDOW, LineResponse
from jobs.batches.lines import LineError, parse_line, read_lines
from jobs.batches.validation import CheckedFile, FileLimits, check_file
from jobs.chunks import chunked
from jobs.configuration.settings import Settings
from jobs.creation.cancel import cancel_run
from jobs.creation.create import queue_jobs
from jobs.creation.run_locks import RunLocks
from jobs.errors import InvalidRequestError
from jobs.safe_text import safe_text
from jobs.store.file_batches.batch_tables import FileBatch, FileLine, ResultPart
from jobs.store.file_batches.file_lines import EndedLine
from jobs.store.tables import Batch, Job

#: Seconds between two reads of new results.
POLL_EVERY = 0.1
#: Flaws of a file that are shown.
SHOWN_FLAWS = 10


class BatchRun:
    """One run over one file. A second run over the same output asks only the lines that have no answer yet."""

    def __init__(self, settings: Settings, source: Path, output: Path, errors: Path, *, priority: int = 0) -> None:
        """Prepare a run.

        Args:
            source: the file of requests.
            output: the file of answers, which is continued if it is there.
            errors: the file of the lines that failed in this run.
            priority: of the run among others.
        """
        # The person who runs the command may read the files that the requests name.
        self._settings = settings.model_copy(update={"served_roots": (Path("/"),)})
        self._source, self._output, self._errors = source, output, errors
        self._priority = priority
        self._bar = ProgressBar(unit="requests")
        self._rate = RunRate()
        self._rows: dict[str, FileLine] = {}
        self._failures: list[bytes] = []
        self._answered = 0
        #: Position in the order of ends up to which the batch has been read.
        self._last = 0

    def run(self) -> int:
        """Answer the requests. Returns the exit status. Raises InvalidRequestError for a file with flaws."""
        with self._source.open("rb") as file, open_resources(self._settings, RequestMetrics(), Activity()) as resources:
            endpoint = self._endpoint(file)
            checked = self._check(file, endpoint, resources)
            with open_output(self._output) as output:
                earlier = len(output)
                begun = time.monotonic()
                finished = self._answer(file, endpoint, checked, output, resources)
                self._write_errors()
                self._sum_up(checked.total, earlier, time.monotonic() - begun, finished=finished)
        if not finished:
            return INTERRUPTED
        return SOME_FAILED if self._failures else ALL_CAPTIONED

    def _endpoint(self, file: BinaryIO) -> str:
        """Return the endpoint that the file asks, by its first line. Raises InvalidRequestError."""
        longest = self._settings.max_body_bytes
        for line in islice(read_lines(file, longest=longest), 1):
            for endpoint in ENDPOINTS:
                try:
                    parse_line(line, endpoint)
                except LineError as error:
                    if error.code == "invalid_url":
                        continue
                return endpoint
            raise InvalidRequestError(f"{self._source}: the url must be {' or '.join(ENDPOINTS)}.")
        raise InvalidRequestError(f"{self._source} has no requests.")

    def _check(self, file: BinaryIO, endpoint: str, resources: Resources) -> CheckedFile:
        limits = FileLimits(self._settings.max_batch_lines, self._settings.max_body_bytes)
        checked = check_file(file, endpoint, limits, lambda name: resources.catalogue.resolve(name).name)
        if not checked.flaws:
            return checked
        for flaw in checked.flaws[:SHOWN_FLAWS]:
            self._say(f"  {'' if flaw.line is None else f'line {flaw.line}: '}{flaw.message}")
        if (more := len(checked.flaws) - SHOWN_FLAWS) > 0:
            self._say(f"  and {more} more")
        raise InvalidRequestError(f"{self._source} is not a valid batch. Mend these lines, and run the command again.")

    def _answer(
        self, file: BinaryIO, endpoint: str, checked: CheckedFile, output: BatchOutput, resources: Resources
    ) -> bool:
        """Queue the lines, a window at a time, and write their results as they come. Returns False after Ctrl-C."""
        model = checked.model or self._settings.model
        batch = Batch(description=self._description, model=model, priority=self._priority)
        # Only carries the ids to the rendering of results: this batch has no server that others could ask for it.
        shown = FileBatch(
            id=batch.id, endpoint=endpoint, input_file_id="", input_sha256="", completion_window="", expires_at=0
        )
        left = self._unanswered(file, endpoint, output)
        runs = RunLocks(self._settings)
        with runs.hold(batch), services(self._settings) as running, closing(left):
            try:
                with self._bar.drawn(checked.total - len(output)):
                    running.ensure()
                    cancel_left_jobs(self._description, store=resources.store, runs=runs, connection=running.connection)
                    resources.store.add_batch(batch)
                    self._follow(batch, shown, left, output, resources, running)
            except KeyboardInterrupt:
                connection = None if running.is_away else running.connection
                cancel_run(batch.id, store=resources.store, connection=connection)
                self._collect(batch, shown, output, resources)
                return False
        runs.tidy({one.id for one in resources.store.open_batches()})
        return True

    def _unanswered(
        self, file: BinaryIO, endpoint: str, output: BatchOutput
    ) -> Generator[tuple[FileLine, dict[str, object]], None, None]:
        for line in read_lines(file, longest=self._settings.max_body_bytes):
            request = parse_line(line, endpoint)
            if request.custom_id not in output:
                custom_id = json.dumps(request.custom_id)
                row = FileLine(batch_id="", number=line.number, end_offset=line.end_offset, custom_id=custom_id)
                yield row, request.body

    @property
    def _description(self) -> str:
        return f"{self._source}: batch".encode(errors="replace").decode()

    def _follow(
        self,
        batch: Batch,
        shown: FileBatch,
        left: Iterator[tuple[FileLine, dict[str, object]]],
        output: BatchOutput,
        resources: Resources,
        running: Services,
    ) -> None:
        chunks = chunked(left, LINES_A_TRANSACTION)
        chunk = next(chunks, None)
        while chunk is not None or self._rows:
            if chunk is not None and len(self._rows) + LINES_A_TRANSACTION <= WINDOW:
                self._queue(chunk, batch, shown, resources)
                chunk = next(chunks, None)
                continue
            if self._collect(batch, shown, output, resources):
                running.progressed()
            self._bar.show_rate(self._rate.recent(time.time()))
            running.ensure()
            time.sleep(POLL_EVERY)

    def _queue(
        self,
        lines: list[tuple[FileLine, dict[str, object]]],
        batch: Batch,
        shown: FileBatch,
        resources: Resources,
    ) -> None:
        """Queue the jobs of these lines. A line that cannot be served fails at once."""
        jobs: list[Job] = []
        for row, body in lines:
            row.batch_id = batch.id
            made = job_of_line(shown.endpoint, body, resources)
            if isinstance(made, LineResponse):
                row.refusal = json.dumps({"status": made.status, "body": made.body})
                self._fail(shown, EndedLine(row, None))
            else:
                made.batch_id = batch.id
                self._rows[made.id] = row
                jobs.append(made)
        if jobs:
            queue_jobs(jobs, store=resources.store, connection=resources.connection)

    def _collect(self, batch: Batch, shown: FileBatch, output: BatchOutput, resources: Resources) -> bool:
        """Write the results that have come since the last call. Returns whether there were any."""
        found = False
        while jobs := resources.store.finished_after(batch.id, self._last):
            found = True
            self._last = jobs[-1].finished_order or self._last
            answers = []
            for job in jobs:
                ended = EndedLine(self._rows.pop(job.id), job)
                self._rate.count(job)
                if ended.is_answered:
                    answers.append(rendered(shown, ended, ResultPart.OUTPUT))
                    self._bar.advance(len(self._failures))
                else:
                    self._fail(shown, ended)
            self._answered += len(answers)
            output.add(answers)
        return found

    def _fail(self, shown: FileBatch, ended: EndedLine) -> None:
        self._failures.append(rendered(shown, ended, ResultPart.ERRORS))
        self._bar.advance(len(self._failures))

    def _write_errors(self) -> None:
        """Write the lines that failed in this run; failures of earlier runs were asked again."""
        if self._failures:
            self._errors.write_bytes(b"".join(self._failures))
        else:
            self._errors.unlink(missing_ok=True)

    def _sum_up(self, total: int, earlier: int, seconds: float, *, finished: bool) -> None:
        before = f", {earlier} answered before" if earlier else ""
        self._say(
            f"{counted(total, 'request')}: {self._answered} answered{before}, {len(self._failures)} failed "
            f"in {seconds:.1f} s: {self._output}"
        )
        if self._failures:
            self._say(f"  failed: {self._errors}")
        if not finished:
            self._say("Stopped. To go on, run the same command again.")

    def _say(self, line: str) -> None:
        click.echo(safe_text(line), err=True)

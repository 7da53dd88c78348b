"""The whole product as a contestant: `captionq caption` in front of a warm `captionq work`, in a data folder of its own.

Measured from the batch's row to its last result's: rows, queue entries, decoding of the files, generation, text files, results.
Not measured: the command's own start, and loading and warming up the model.
"""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cli.benchmark.contest import Run, Task
from cli.benchmark.processes import died, ended, start, stop
from cli.benchmark.stage_totals import Stages, between, stages_in
from jobs.configuration.settings import Settings
from jobs.creation.existing_texts import PendingImage
from jobs.creation.folder_run import FolderRun
from jobs.creation.question import Question
from jobs.errors import BenchmarkError
from jobs.queue import broker
from jobs.queue.worker_state import live_workers
from jobs.sampling import Sampling
from jobs.store.store import Store
from jobs.store.tables import Batch, Job, JobStatus
from worker.lock import is_running

_WORK = "from cli.benchmark.stack_sampler import run_sampled; from cli.main import main; run_sampled(main)"
_CAPTION = "from cli.main import main; main()"
#: Seconds that worker and broker get to start; the model is loaded later.
START_SECONDS = 180.0


class Product:
    """A captionq with a warm worker, in a data folder of its own."""

    def __init__(self, task: Task, folder: Path) -> None:
        self._task = task
        self._folder = folder
        self.settings = Settings(data_dir=folder / "data", database_url=None, redis_url=None)
        self._report = folder / "samples.json"
        self._log = folder / "captionq.log"
        self._environment = _environment(task, self.settings)
        self._worker = start(_WORK, self._report, "work", "--until-eof", environment=self._environment, log=self._log)
        self._runs = 0
        #: When the worker's last answer was written, in seconds since the epoch.
        self._answered_at = 0.0

    def wait(self) -> None:
        """Wait until the worker is ready for jobs. Raises BenchmarkError."""
        deadline = time.monotonic() + START_SECONDS
        while not (is_running(self.settings) and _broker_answers(self.settings)):
            if self._worker.poll() is not None:
                raise died(self._worker, self._log)
            if time.monotonic() > deadline:
                raise BenchmarkError(f"The worker did not start within {START_SECONDS:.0f} s.")
            time.sleep(0.05)

    def warm_up(self) -> None:
        """Load the model and answer about the pictures to warm up with. Raises BenchmarkError."""
        task = self._task
        question = Question(task.model, task.prompt, Sampling(max_tokens=task.max_tokens))
        wanted = [PendingImage.at(path, self._folder / f"{path.stem}.txt") for path in task.warm_up]
        connection = broker.find(self.settings)
        if connection is None:
            raise BenchmarkError("The broker has gone.")
        store = Store(self.settings)
        batch = Batch(description="warm-up", model=task.model)
        FolderRun(question, batch, store=store, connection=connection).submit(wanted)
        while store.open_jobs(batch.id):
            if self._worker.poll() is not None:
                raise died(self._worker, self._log)
            time.sleep(0.05)
        failed = store.jobs(batch_id=batch.id, statuses=[JobStatus.FAILED])
        self._answered_at = _last_end(store.jobs(batch_id=batch.id))
        store.close()
        connection.close()
        if failed:
            raise BenchmarkError(failed[0].error_message)

    def caption(self, images: Sequence[Path]) -> list[Job]:
        """Caption copies of the images; returns the jobs in the order of the images. Raises BenchmarkError."""
        self._runs += 1
        pictures = self._folder / f"run-{self._runs}"
        pictures.mkdir()
        copies = [pictures / f"{number:05}{path.suffix}" for number, path in enumerate(images)]
        for path, copy in zip(images, copies, strict=True):
            shutil.copyfile(path, copy)
        command = ["caption", pictures, "--model", self._task.model, "--prompt", self._task.prompt]
        # The loop, too, asks each question once, however the answer ends.
        command += ["--max-tokens", self._task.max_tokens, "--quality-retries", "0", "--format", "json"]
        process = start(_CAPTION, *map(str, command), environment=self._environment, log=self._log)
        lines = ended(process, self._log).splitlines()
        store = Store(self.settings)
        jobs = store.jobs(batch_id=json.loads(lines[0])["batch"]) if lines else []
        store.close()
        jobs.sort(key=lambda job: job.source or "")
        missing = [copy.name for copy in copies if not copy.with_suffix(".txt").exists()]
        if len(jobs) != len(images) or missing:
            raise BenchmarkError(f"captionq left {len(missing)} of {len(images)} images without a text file.")
        self._answered_at = _last_end(jobs)
        return jobs

    def stages(self) -> Stages:
        """Return the worker's seconds by stage until its last answer, when it has published them. Raises BenchmarkError.

        It publishes them within a second of the answer, and then no more than every few seconds.
        """
        deadline = time.monotonic() + START_SECONDS
        connection = broker.find(self.settings)
        while connection is not None and time.monotonic() < deadline:
            if states := [state for state in live_workers(connection) if state.at > self._answered_at]:
                connection.close()
                return stages_in(states[0].metrics)
            time.sleep(0.05)
        raise BenchmarkError("The worker does not publish its state.")

    def stop(self) -> None:
        """End the worker, and the broker with it."""
        stop(self._worker)

    def close(self) -> dict[str, Any]:
        """End the worker and return the report of its stack sampler. Raises BenchmarkError."""
        self.stop()
        if not self._report.exists():
            raise died(self._worker, self._log)
        report: dict[str, Any] = json.loads(self._report.read_text())
        return report


@contextmanager
def product(task: Task) -> Iterator[Product]:
    """Provide a warm captionq; its folder is removed afterwards."""
    # A broker that had to be killed may still be writing.
    with TemporaryDirectory(prefix="captionq-bench-", ignore_cleanup_errors=True) as folder:
        running = Product(task, Path(folder))
        try:
            running.wait()
            running.warm_up()
            yield running
        finally:
            running.stop()


def run_product(task: Task) -> Run:
    """Start captionq, warm it up, and caption the images. Raises BenchmarkError."""
    with product(task) as running:
        store = Store(running.settings)
        before = running.stages()
        jobs = running.caption(task.images)
        stages = between(before, running.stages())
        submitted = store.batch(jobs[0].batch_id or "").created_at
        store.close()
        finished = _last_end(jobs)
        report = running.close()
    cpu_seconds, places = _window(report["samples"], submitted, finished)
    samples = sum(places.values())
    outside = {name: count / samples for name, count in places.most_common() if name}
    return Run(
        seconds=finished - submitted,
        cpu_seconds=cpu_seconds,
        texts=tuple(job.text for job in jobs),
        tokens=sum(job.completion_tokens or 0 for job in jobs),
        peak_memory=report["peak_memory"],
        max_rss=report["max_rss"],
        outside=1 - places[""] / samples,
        outside_by_file=outside,
        stages=stages,
        preprocess_seconds=sum(job.preprocess_seconds or 0.0 for job in jobs),
    )


def _window(samples: list[tuple[float, float, bool, str]], begin: float, end: float) -> tuple[float, Counter[str]]:
    """Return the CPU seconds between two times, and the number of samples by file; samples in the engine count as ''."""
    seen = [sample for sample in samples if begin <= sample[0] <= end]
    if not seen:
        raise BenchmarkError("The run was too short to measure; use more images or tokens.")
    return seen[-1][1] - seen[0][1], Counter("" if inside else where or "elsewhere" for *_, inside, where in seen)


def _last_end(jobs: Sequence[Job]) -> float:
    """Return when the last of the jobs ended, in seconds since the epoch."""
    return max(job.finished_at or 0.0 for job in jobs)


def _environment(task: Task, settings: Settings) -> dict[str, str]:
    # Without the result cache: the pictures of one run come again in the next.
    return {**task.environment, "CAPTIONQ_DATA_DIR": str(settings.data_dir), "CAPTIONQ_CACHE": "false"}


def _broker_answers(settings: Settings) -> bool:
    return broker.find(settings) is not None

"""Files beside images, written from the store after the run that captioned the images."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path

from jobs.captions.outputs.recorded_write import write_recorded
from jobs.captions.outputs.side_files import SideFiles
from jobs.captions.text_files import check_place, read_output, shown, text_bytes
from jobs.errors import ForbiddenError, OutputChangedError, OutputError
from jobs.objects.paths import is_object
from jobs.options.delivery import DeliveryOptions
from jobs.options.outputs import FileKind
from jobs.requests import path_of
from jobs.store.result import Result
from jobs.store.store import Store
from jobs.store.tables import Job, JobStatus
from jobs.store.written.written_files import WrittenFiles

#: The name in the temporary files of an export.
WRITER = "export"


@dataclass
class LateOutputs:
    """Outcome of an export to files beside images."""

    #: Images whose files are all there now.
    images: int = 0
    #: Images with a file that could not be written, with the reasons.
    left: dict[Path, str] = field(default_factory=dict)


def write_late(jobs: Iterable[Job], kinds: Collection[FileKind], store: Store, *, keywords: bool) -> LateOutputs:
    """Write files of these kinds for the jobs that succeeded. A text that is there stays.

    The changes are recorded as the jobs' own, so an undo of the run takes them back too.
    """
    outcome, files = LateOutputs(), SideFiles(store, WRITER)
    for job in jobs:
        text = job.caption
        if job.status != JobStatus.SUCCEEDED or job.output is None or job.source is None or text is None:
            continue
        wanted = {"output": tuple(kinds), "keywords": keywords or job.parsed_delivery().keywords}
        chosen = DeliveryOptions(**wanted)
        image = path_of(job.source)
        try:
            _check_image(image)
            if chosen.writes_text:
                _write_text(job, text, store)
            files.write(job, text, result_of(job), chosen)
            outcome.images += 1
        except (OutputError, ForbiddenError) as error:
            outcome.left[image] = error.message
    return outcome


def _check_image(image: Path) -> None:
    if not is_object(image) and not image.is_file():
        raise OutputError(f"{shown(image)} is no longer there.")


def _write_text(job: Job, text: str, store: Store) -> None:
    assert job.output is not None
    path = path_of(job.output)
    check_place(path, job.parsed_roots())
    files, there = WrittenFiles(store.engine), read_output(path)
    if there is None and not write_recorded(
        path, text_bytes(text), replaces=None, job=job, kind="txt", files=files, writer=WRITER
    ):
        raise OutputChangedError(f"{shown(path)} was written just now by another program; it was left as it is.")


def result_of(job: Job) -> Result:
    """Return the result that a job's row holds, without its lists."""
    return Result(
        **{one.name: getattr(job, one.name) for one in fields(Result)}
        | {"logprobs": None, "tool_calls": None, "choices": None}
    )

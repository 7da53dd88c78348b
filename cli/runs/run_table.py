"""The table of a caption run: a row for each image, captioned now or earlier, in the order in which the images were found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from cli.output.plurals import counted
from jobs.captions.outputs.job_record import path_for_programs
from jobs.captions.outputs.tables import COLUMNS, Row, row_of, table_format, write_table
from jobs.captions.text_files import decode_text, read_output
from jobs.chunks import chunked
from jobs.creation.existing_texts import PendingImage, SkippedImage
from jobs.errors import OutputError
from jobs.requests import address_of
from jobs.store.queries.caption_runs import best_jobs_of, newest_jobs_of
from jobs.store.statements import ROWS_A_STATEMENT
from jobs.store.store import Store
from jobs.store.tables import Job


class RunTable:
    """The table of a run, filled while the run finds its images."""

    def __init__(self, path: Path) -> None:
        """Check that the table can be written: raises the errors of `table_format`."""
        self._path = path
        self._format = table_format(path)
        #: By image, its text, and whether it is skipped.
        self._images: dict[Path, tuple[Path, bool]] = {}

    @property
    def has_images(self) -> bool:
        """Whether the run has found an image."""
        return bool(self._images)

    def add(self, one: PendingImage | SkippedImage) -> None:
        """Add an image of the run. A watch may find one again: captioned, it stays so, also if it is skipped later."""
        if not isinstance(one, SkippedImage):
            self._images[one.image] = one.output, False
        else:
            self._images.setdefault(one.image, (one.output, True))

    def write(self, store: Store) -> str:
        """Write the table, and return a sentence about it."""
        number = write_table(self._path, self._rows(store), self._format)
        return f"{self._path}: {counted(number, 'row')}"

    def _rows(self, store: Store) -> Iterator[Row]:
        for chunk in chunked(self._images.items(), ROWS_A_STATEMENT):
            # Of an image that the run asked about, an earlier run's success says nothing: the file may be another picture by now.
            asked = [address_of(output) for _, (output, is_skipped) in chunk if not is_skipped]
            kept = [address_of(output) for _, (output, is_skipped) in chunk if is_skipped]
            jobs = newest_jobs_of(store.engine, asked) | best_jobs_of(store.engine, kept)
            for image, (output, is_skipped) in chunk:
                yield _row(image, output, jobs.get(address_of(output)), is_skipped=is_skipped)


def _row(image: Path, output: Path, job: Job | None, *, is_skipped: bool) -> Row:
    """Return the row of an image. A skipped image has the text of its file, which a person may have written."""
    row: Row = dict.fromkeys(COLUMNS) if job is None else row_of(job)
    row["path"] = path_for_programs(address_of(image))
    if is_skipped:
        row |= {"status": "skipped", "error": None}
        with suppress(OutputError):
            content = read_output(output)
            if content is not None:
                row["caption"] = decode_text(content, output).rstrip("\r\n")
    return row

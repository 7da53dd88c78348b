"""A table of answers: a row for each image, a column for each question."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from jobs.captions.outputs.csv_cells import csv_line
from jobs.captions.outputs.tables import replacing
from jobs.options.prompts.typed_question import ERROR_COLUMN, PATH_COLUMN
from jobs.requests import path_of
from jobs.store.tables import Job, JobStatus

#: Name of the column of an answer that is no JSON object.
ANSWER_COLUMN = "answer"
#: Formats of a table by the endings of file names.
FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}


class AnswerTable:
    """The answers of a batch's jobs. A job with a question fills its column; the JSON of other jobs is flattened."""

    def __init__(self, columns: Sequence[str], sources: Iterable[str] = ()) -> None:
        """Begin a table.

        Args:
            columns: names of the questions; further columns come with the answers.
            sources: addresses of the images that get a row, in this order; further images follow.
        """
        self._columns = dict.fromkeys(columns)
        #: By name and address of the image: uploads of one name may be different images.
        self._answers: dict[tuple[str, str], dict[str, Any]] = {(source, source): {} for source in sources}
        self._errors: dict[tuple[str, str], dict[str, None]] = {}

    @property
    def columns(self) -> list[str]:
        """All columns, in order."""
        return [PATH_COLUMN, *self._columns, ERROR_COLUMN]

    def add(self, job: Job) -> None:
        """Take the answer or the error of a job that has ended."""
        place = (job.source or "", job.parsed_request().images[0].url)
        row = self._answers.setdefault(place, {})
        asked = job.parsed_question()
        if job.status == JobStatus.SUCCEEDED and job.text is not None:
            answers = flattened(json.loads(job.text)) if asked is None else {asked.name: asked.value(job.text)}
            row |= answers
            self._columns |= dict.fromkeys(answers)
            return
        reason = "cancelled" if job.status == JobStatus.CANCELLED else job.error_message or job.error_code or "unknown"
        # All questions about a broken image fail for one reason.
        self._errors.setdefault(place, {})[reason] = None

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows; a cell without an answer is None."""
        for place, answers in self._answers.items():
            error = "; ".join(self._errors.get(place, ())) or None
            yield {PATH_COLUMN: path_cell(place[0]), **dict.fromkeys(self._columns), **answers, ERROR_COLUMN: error}

    def lines(self, table_format: str) -> Iterator[str]:
        """Yield the lines of the table as `csv` or `jsonl`."""
        if table_format == "csv":
            yield csv_line(self.columns)
        for row in self.rows():
            if table_format == "csv":
                yield csv_line(row[column] for column in self.columns)
            else:
                yield json.dumps(row, ensure_ascii=False) + "\n"

    def write(self, path: Path) -> None:
        """Write the file whole, or leave the earlier one. Raises OutputError."""
        form = FORMATS[path.suffix.lower()]
        with replacing(path) as file:
            if form == "parquet":
                self._write_parquet(file)
            else:
                file.writelines(line.encode(errors="replace") for line in self.lines(form))

    def _write_parquet(self, file: BinaryIO) -> None:
        import pyarrow
        from pyarrow import parquet

        rows = list(self.rows())
        columns = {name: _arrow_array([row[name] for row in rows]) for name in self.columns}
        parquet.write_table(pyarrow.table(columns), file)


def _arrow_array(values: list[Any]) -> Any:
    """Return a column: of the type of its values, or of texts if they have several types."""
    import pyarrow

    try:
        array = pyarrow.array(values)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError):
        texts = [one if isinstance(one, str | None) else json.dumps(one, ensure_ascii=False) for one in values]
        return pyarrow.array(texts, pyarrow.string())
    # A column without any value would have a type that few readers know.
    return array.cast(pyarrow.string()) if pyarrow.types.is_null(array.type) else array


def flattened(value: Any, place: str = "") -> dict[str, Any]:
    """Return the columns of a JSON value: `{"a": {"b": 1}}` has the column `a.b`. A list is one column, as JSON."""
    if isinstance(value, dict):
        columns: dict[str, Any] = {}
        for key, part in value.items():
            columns |= flattened(part, f"{place}.{key}" if place else key)
        return columns
    name = place or ANSWER_COLUMN
    if name in (PATH_COLUMN, ERROR_COLUMN):
        name = f"{ANSWER_COLUMN}.{name}"
    return {name: json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value}


def path_cell(source: str) -> str:
    """Return the path of a file address; the address itself if the path is not UTF-8. Other names stay as they are."""
    if not source.startswith("file:"):
        return source
    path = str(path_of(source))
    try:
        path.encode()
    except UnicodeEncodeError:
        return source
    return path

"""Tables of captions: CSV, JSON lines, Parquet, and `metadata.jsonl` as Hugging Face's imagefolder reads it."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Literal

from jobs.captions.outputs.csv_cells import csv_line
from jobs.captions.outputs.job_record import path_for_programs, prompt_of
from jobs.captions.temporary_files import temporary_name
from jobs.captions.writable_folders import write_error
from jobs.chunks import chunked
from jobs.errors import InvalidRequestError, MissingToolError, OutputOccupiedError
from jobs.errors.install_commands import command_for_extra
from jobs.store.tables import Job, JobStatus

#: Columns and their types in Parquet. `tokens` are those of the answer; `seconds` the work on it, without waiting.
COLUMNS = {
    "path": "string",
    "caption": "string",
    "model": "string",
    "prompt": "string",
    "tokens": "int64",
    "seconds": "float64",
    "status": "string",
    "error": "string",
}
#: The format of Hugging Face's imagefolder.
METADATA = "metadata"
FORMATS = ("csv", "jsonl", "parquet", METADATA)
#: Rows of a row group in Parquet.
_ROWS_A_GROUP = 10_000

Row = dict[str, Any]


def row_of(job: Job) -> Row:
    """Return a job's row."""
    times = (job.preprocess_seconds, job.prefill_seconds, job.decode_seconds)
    has_caption = job.status == JobStatus.SUCCEEDED
    return {
        "path": path_for_programs(job.source or ""),
        "caption": job.caption if has_caption else None,
        "model": job.model,
        "prompt": prompt_of(job),
        "tokens": job.completion_tokens,
        "seconds": None if None in times else round(sum(time or 0.0 for time in times), 4),
        "status": job.status,
        "error": None if has_caption else job.error_message,
    }


def table_format(path: Path, chosen: str | None = None) -> str:
    """Return the format of a table: `chosen`, or that of the file's extension.

    Raises InvalidRequestError for an unknown extension, MissingToolError if the format needs a package that is not installed,
    and OutputOccupiedError if a folder or special file has the name.
    """
    form = chosen or path.suffix.lower().removeprefix(".")
    if form not in FORMATS:
        raise InvalidRequestError(f"{path.name} is no name of a table. Let it end in .csv, .jsonl or .parquet.")
    if form == "parquet":
        check_parquet()
    if os.path.lexists(path) and not path.is_file():
        raise OutputOccupiedError(f"{path.name} is not a file, so no table can be written there. Choose another name.")
    if not path.absolute().parent.is_dir():
        raise InvalidRequestError(f"The folder {path.absolute().parent} does not exist. Make it, then try again.")
    return form


def check_parquet() -> None:
    """Raise MissingToolError if Parquet cannot be written."""
    if importlib.util.find_spec("pyarrow") is None:
        raise MissingToolError(
            f"Parquet needs an extra. Write .csv or .jsonl, or install the extra: {command_for_extra('table')}"
        )


def write_table(path: Path, rows: Iterable[Row], form: str) -> int:
    """Write the rows in this order, and return their number. Readers find the old table or the whole new one.

    Raises OutputError, and InvalidRequestError if `metadata.jsonl` cannot name an image.
    """
    target = path.absolute()
    write: dict[str, Callable[[BinaryIO, Iterable[Row]], int]] = {
        "csv": _write_csv,
        "jsonl": _write_json_lines,
        "parquet": _write_parquet,
        METADATA: lambda file, given: _write_json_lines(file, _metadata_rows(given, target.parent)),
    }
    with replacing(target) as file:
        return write[form](file, rows)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a new file that takes the place of `path` at the end of the block. Raises OutputError."""
    temporary = path.with_name(temporary_name("table"))
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise write_error(f"{path.name} could not be written", error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def table_lines(rows: Iterable[Row], form: Literal["csv", "jsonl"]) -> Iterator[bytes]:
    """Yield the lines of a table; the first of a CSV is its heading."""
    if form == "csv":
        yield csv_line(COLUMNS).encode()
    for row in rows:
        line = csv_line(row.get(column) for column in COLUMNS) if form == "csv" else _json_line(row)
        yield line.encode(errors="replace")


def _json_line(row: Row) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def _write_csv(file: BinaryIO, rows: Iterable[Row]) -> int:
    return _write_lines(file, table_lines(rows, "csv")) - 1


def _write_json_lines(file: BinaryIO, rows: Iterable[Row]) -> int:
    return _write_lines(file, table_lines(rows, "jsonl"))


def _write_lines(file: BinaryIO, lines: Iterable[bytes]) -> int:
    number = 0
    for number, line in enumerate(lines, 1):  # noqa: B007
        file.write(line)
    return number


def _write_parquet(file: BinaryIO, rows: Iterable[Row]) -> int:
    import pyarrow
    from pyarrow import parquet

    schema = pyarrow.schema([(name, getattr(pyarrow, kind)()) for name, kind in COLUMNS.items()])
    number = 0
    with parquet.ParquetWriter(file, schema) as writer:
        for chunk in chunked(rows, _ROWS_A_GROUP):
            writer.write_table(pyarrow.Table.from_pylist(chunk, schema=schema))
            number += len(chunk)
    return number


def _metadata_rows(rows: Iterable[Row], folder: Path) -> Iterator[Row]:
    """Yield the images that have captions, by names relative to the folder of `metadata.jsonl`."""
    real = Path(os.path.realpath(folder))
    for row in rows:
        if row["caption"] is None:
            continue
        image = Path(row["path"])
        for base in (folder, real):
            if image.is_relative_to(base):
                yield {"file_name": image.relative_to(base).as_posix(), "text": row["caption"]}
                break
        else:
            raise InvalidRequestError(
                f"{row['path']} does not lie below {folder}. Put metadata.jsonl into a folder above all images."
            )

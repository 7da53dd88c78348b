"""Tables of answers."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from jobs.captions.outputs.answer_table import AnswerTable, flattened
from jobs.creation.question import Question, answer_job
from jobs.errors import OutputError
from jobs.options.prompts.typed_question import TypedQuestion
from jobs.sampling import Sampling
from jobs.store.tables import Batch, Job, JobStatus

BATCH = Batch(description="", model="demo")
ASKED = Question("demo", "", Sampling())


def ended(image: str, column: str | None, text: str | None, error: str | None = None) -> Job:
    """Return the row of a job that has ended."""
    question = ASKED if column is None else ASKED.of_column(TypedQuestion.parse(column))
    job = answer_job(Path(image), question, BATCH)
    job.status = JobStatus.FAILED if text is None else JobStatus.SUCCEEDED
    job.text, job.error_message = text, error
    return job


def cells(table: AnswerTable) -> list[list[str]]:
    """Return the cells of the table as a reader of CSV finds them."""
    return list(csv.reader(io.StringIO("".join(table.lines("csv")), newline="")))


def test_each_image_has_a_row_and_each_question_a_column() -> None:
    """Values have their types, a failure its reason once, and rows keep the order of the images."""
    table = AnswerTable(["n", "in"], ["file:///b.png", "file:///a.png"])
    table.add(ended("/a.png", "n=How many?:int", "two"))
    table.add(ended("/a.png", "in=Indoors?:bool", "yes"))
    table.add(ended("/b.png", "n=How many?:int", None, "b.png is damaged."))
    table.add(ended("/b.png", "in=Indoors?:bool", None, "b.png is damaged."))
    assert cells(table) == [
        ["path", "n", "in", "error"],
        ["/b.png", "", "", "b.png is damaged."],
        ["/a.png", "2", "true", ""],
    ]
    rows = [json.loads(line) for line in table.lines("jsonl")]
    assert rows[1] == {"path": "/a.png", "n": 2, "in": True, "error": None}


def test_no_cell_is_a_formula() -> None:
    """A spreadsheet runs no answer; line ends and quotes stay in their cell, and negative numbers are numbers."""
    table = AnswerTable(["t", "n"])
    for text in ("=1+1", "+1", "-1", "@x", '"a",\n"b"'):
        table.add(ended(f"/{len(text)}{text[0]}.png", "t=What?", text))
    table.add(ended("/n.png", "n=How many?:int", "-7"))
    texts = [row[1] for row in cells(table)[1:]]
    assert texts == ["'=1+1", "'+1", "'-1", "'@x", '"a",\n"b"', ""]
    assert cells(table)[-1][2] == "-7"


def test_json_answers_are_flattened() -> None:
    """Objects become columns with dots, lists JSON, and a key that is a column of every table is renamed."""
    assert flattened({"a": {"b": 1, "c": [1, "x"]}, "path": None}) == {"a.b": 1, "a.c": '[1, "x"]', "answer.path": None}
    assert flattened([1]) == {"answer": "[1]"}
    table = AnswerTable([])
    table.add(ended("/a.png", None, '{"x": {"y": true}}'))
    assert cells(table) == [["path", "x.y", "error"], ["/a.png", "true", ""]]


def test_a_table_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """A failure leaves the earlier file, and nothing else."""
    path = tmp_path / "answers.csv"
    AnswerTable(["n"], ["file:///caf%C3%A9.png"]).write(path)
    assert path.read_bytes().decode() == "path,n,error\r\n/café.png,,\r\n"
    taken = tmp_path / "taken.csv"
    taken.mkdir()
    with pytest.raises(OutputError, match=r"taken\.csv could not be written"):
        AnswerTable(["n"]).write(taken)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["answers.csv", "taken.csv"]


def test_a_parquet_table_has_the_types_of_its_answers(tmp_path: Path) -> None:
    """A column of several types has texts, one without values too."""
    from pyarrow import parquet

    table = AnswerTable(["n", "in", "mixed", "none"])
    table.add(ended("/a.png", "n=How many?:int", "2"))
    table.add(ended("/a.png", "in=Inside?:bool", "true"))
    table.add(ended("/a.png", None, '{"mixed": 1}'))
    table.add(ended("/b.png", None, '{"mixed": "two"}'))
    table.write(tmp_path / "table.parquet")
    read = parquet.read_table(tmp_path / "table.parquet")
    assert [str(read.schema.field(name).type) for name in ("n", "in", "mixed", "none")] == [
        "int64",
        "bool",
        "string",
        "string",
    ]
    assert read.to_pylist()[0] == {"path": "/a.png", "n": 2, "in": True, "mixed": "1", "none": None, "error": None}

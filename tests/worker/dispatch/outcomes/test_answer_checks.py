"""Answers that are failures: broken JSON, and nothing but thoughts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from redis import Redis

from jobs.answer_format.response_format import JSONObjectFormat, JSONSchemaFormat, ResponseFormat
from jobs.configuration.settings import Settings
from jobs.creation.existing_texts import PendingImage
from jobs.creation.folder_run import FolderRun
from jobs.creation.question import Question
from jobs.errors import AnswerError, CaptionqError
from jobs.options.delivery import DeliveryOptions
from jobs.sampling import Sampling
from jobs.store.store import Store
from jobs.store.tables import Batch, JobStatus
from tests.support.rows import RESULT, make_job
from tests.support.scenes import save_scenes
from worker import service
from worker.dispatch.outcomes.answer_checks import check_answer

#: An open schema: a model may fill its answer with properties of its own.
SCHEMA = {"type": "object", "properties": {"color": {"type": "string"}, "count": {"type": "integer"}}}
OPEN = JSONSchemaFormat.model_validate({"json_schema": {"name": "a", "schema": SCHEMA}})
CLOSED = JSONSchemaFormat.model_validate({"json_schema": {"name": "a", "schema": SCHEMA, "strict": True}})

#: The quality gate would ask again.
ASKED_ONCE = DeliveryOptions(quality_retries=0)


def failure(
    text: str, response_format: ResponseFormat | None, finish_reason: str = "stop", reasoning: str | None = None
) -> str | None:
    """Return the code and message of the error that the answer of a job with a file fails with; None: it is fine."""
    job = make_job()
    job.request = job.parsed_request().model_copy(update={"response_format": response_format}).model_dump_json()
    try:
        check_answer(job, replace(RESULT, text=text, finish_reason=finish_reason, reasoning=reasoning))
    except AnswerError as error:
        return f"{error.code}: {error.message}"
    return None


@pytest.mark.parametrize(
    ("text", "response_format", "fails"),
    [
        ('{"color": "red", "count": 1}', CLOSED, False),
        ('{"color": "red"}', OPEN, False),
        ('{"color": "red"}', CLOSED, True),
        ('{"color": "red", "more": 1}', CLOSED, True),
        ('{"color": "re', OPEN, True),
        ('{"color": "red"', JSONObjectFormat(), True),
        ("[1]", JSONObjectFormat(), True),
        ('{"a": {"b": [1, 2, null]}}', JSONObjectFormat(), False),
        ("", OPEN, True),
        ("[" * 3000, JSONObjectFormat(), True),
        ("A red circle", None, False),
    ],
)
def test_json_that_is_not_as_asked_fails(text: str, response_format: ResponseFormat | None, fails: bool) -> None:
    """The whole answer must be JSON and follow the schema, whatever ended it."""
    assert (failure(text, response_format) is not None) == fails


def test_the_reason_says_what_to_do() -> None:
    """An answer that ran into the limit needs a higher one; another ending has another reason."""
    assert failure('{"color": "re', OPEN, "length") == (
        "invalid_json_answer: The answer was cut off at 9 tokens before its JSON ended; allow more (--max-tokens)."
    )
    assert "stop strings" in (failure('{"color": "re', OPEN) or "")
    assert failure('{"color": "red"}', OPEN, "length") is None


def test_thoughts_are_no_text() -> None:
    """A file is not written for an answer that ended within its thoughts; an answer without them may be empty."""
    assert "9 tokens" in (failure("", None, "length", reasoning="The user") or "")
    assert (failure("", None, reasoning="The user") or "").startswith("only_thoughts: ")
    assert failure("A circle.", None, reasoning="The user") is None
    assert failure("", None) is None
    job = make_job()
    job.output = None
    check_answer(job, replace(RESULT, text="", reasoning="The user"))


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("known_models")
def test_json_that_is_cut_off_writes_no_file(
    settings: Settings, store: Store, connection: Redis, tmp_path: Path
) -> None:
    """The job fails once and keeps the answer, so the image is asked about again; a text that is cut off is a caption."""
    paths = list(save_scenes(tmp_path / "pictures", 2))
    for path, response_format in zip(paths, (OPEN, None), strict=True):
        batch = Batch(description="test", model="demo")
        question = Question("demo", "Describe this image.", Sampling(max_tokens=3), response_format, ASKED_ONCE)
        wanted = [PendingImage.at(path, path.with_suffix(".txt"))]
        FolderRun(question, batch, store=store, connection=connection).submit(wanted)
    service.run(settings, burst=True)
    json_job, text_job = (next(job for job in store.jobs() if job.source == path.as_uri()) for path in paths)
    assert (json_job.status, json_job.attempts, json_job.error_code) == (JobStatus.FAILED, 1, "invalid_json_answer")
    assert json_job.text
    assert not paths[0].with_suffix(".txt").exists()
    assert (text_job.status, text_job.quality) == (JobStatus.SUCCEEDED, "cut_off")
    assert paths[1].with_suffix(".txt").read_text() == f"{text_job.text}\n"


def test_the_errors_are_final() -> None:
    """The same answer would come again."""
    kinds: list[type[CaptionqError]] = [AnswerError, *AnswerError.__subclasses__()]
    assert not any(kind.transient for kind in kinds)

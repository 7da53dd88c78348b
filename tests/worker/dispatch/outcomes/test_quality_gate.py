"""The quality gate: flawed answers of folder runs are asked for again, a bounded number of times."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from redis import Redis

from jobs.answer_format.response_format import JSONObjectFormat
from jobs.configuration.settings import Settings
from jobs.creation.existing_texts import PendingImage
from jobs.creation.folder_run import FolderRun
from jobs.creation.question import Question
from jobs.errors import OutputError
from jobs.options.delivery import DeliveryOptions
from jobs.requests import Request
from jobs.sampling import Sampling
from jobs.store.store import Store
from jobs.store.tables import Batch, Job, JobStatus
from tests.support.rows import RESULT, make_job
from tests.support.scenes import save_scenes
from worker import service
from worker.dispatch.outcomes.quality_gate import checked, next_question
from worker.dispatch.retries import retry_delay

FLAWED = replace(RESULT, quality="refusal")


def asked(
    settings: Settings, store: Store, connection: Redis, folder: Path, *, tokens: int, retries: int, json: bool = False
) -> tuple[Job, str]:
    """Ask about a picture with this limit of tokens. Returns the job that has ended, and the right caption."""
    ((path, caption),) = save_scenes(folder, 1).items()
    question = Question(
        "demo",
        "Describe this image.",
        Sampling(max_tokens=tokens),
        response_format=JSONObjectFormat() if json else None,
        delivery=DeliveryOptions(quality_retries=retries),
    )
    batch = Batch(description="test", model="demo")
    wanted = [PendingImage.at(path, path.with_suffix(".txt"))]
    FolderRun(question, batch, store=store, connection=connection).submit(wanted)
    service.run(settings, burst=True)
    (job,) = store.jobs(batch_id=batch.id)
    return job, caption


@pytest.mark.usefixtures("known_models")
def test_an_answer_that_was_cut_off_is_asked_for_again_until_it_is_whole(
    settings: Settings, store: Store, connection: Redis, tmp_path: Path
) -> None:
    """The row has the settings of its answer, and no entry is left."""
    job, caption = asked(settings, store, connection, tmp_path, tokens=6, retries=5)
    assert (job.status, job.text, job.quality) == (JobStatus.SUCCEEDED, caption, None)
    assert job.attempts == job.quality_retries + 1
    assert job.parsed_request().sampling == Sampling(max_tokens=6 * 2**job.quality_retries)
    assert (tmp_path / "scene-000.txt").read_text() == f"{caption}\n"
    assert connection.keys("rq:job:*") == []


@pytest.mark.usefixtures("known_models")
def test_a_mended_answer_is_found_by_the_question_as_it_was_first_asked(
    settings: Settings, store: Store, connection: Redis, tmp_path: Path
) -> None:
    """The same folder again costs no step of the model; a run without retries wants the model's own answer."""
    first, caption = asked(settings, store, connection, tmp_path / "first", tokens=6, retries=5)
    again, _ = asked(settings, store, connection, tmp_path / "again", tokens=6, retries=1)
    assert (first.cached, again.cached, again.text) == (False, True, caption)
    assert (again.attempts, again.quality_retries, again.decode_seconds) == (1, 0, 0.0)
    assert (tmp_path / "again" / "scene-000.txt").read_text() == f"{caption}\n"
    third, _ = asked(settings, store, connection, tmp_path / "third", tokens=6, retries=5)
    assert third.cached
    plain, _ = asked(settings, store, connection, tmp_path / "plain", tokens=6, retries=0)
    assert (plain.cached, plain.quality) == (False, "cut_off")


@pytest.mark.usefixtures("known_models")
@pytest.mark.parametrize("retries", [0, 1])
def test_the_last_answer_is_kept_with_its_flaw(
    settings: Settings, store: Store, connection: Redis, tmp_path: Path, retries: int
) -> None:
    """It is a caption that needs a review; without retries the first answer is the last."""
    job, caption = asked(settings, store, connection, tmp_path, tokens=3, retries=retries)
    assert (job.status, job.quality, job.quality_retries) == (JobStatus.SUCCEEDED, "cut_off", retries)
    assert job.text is not None
    assert caption.startswith(job.text.strip())
    assert job.completion_tokens == 3 * 2**retries
    assert (tmp_path / "scene-000.txt").read_text() == f"{job.text}\n"


def test_a_chat_completion_returns_what_the_model_said() -> None:
    """Only a job with a file is asked again, as often as its run says."""
    job = make_job()
    assert next_question(job, RESULT) is None
    again = next_question(job, FLAWED)
    assert isinstance(again, Request)
    assert again.sampling != job.parsed_request().sampling
    job.quality_retries = 2
    assert next_question(job, FLAWED) is None
    job.delivery = DeliveryOptions(quality_retries=3).stored
    assert next_question(job, FLAWED) is not None
    job.output = None
    assert next_question(job, FLAWED) is None


def test_an_answer_in_another_language_is_asked_for_again() -> None:
    """Of jobs with a file; a flaw that was found before stays."""
    job = make_job(prompt="Describe this image. Answer in Japanese.")
    wrong = checked(job, RESULT)
    assert wrong.quality == "wrong_language"
    assert next_question(job, wrong) is not None
    assert checked(job, FLAWED) == FLAWED
    assert checked(make_job(), RESULT) == RESULT
    job.output = None
    assert checked(job, RESULT) == RESULT


def test_an_answer_that_was_kept_passed_the_gate_before() -> None:
    """Only its file was missing: another attempt would find the same kept answer in the row."""
    job = make_job()
    job.text, job.finish_reason = FLAWED.text, FLAWED.finish_reason
    assert next_question(job, FLAWED) is None


def test_a_job_that_was_cancelled_meanwhile_is_not_queued_again(store: Store) -> None:
    """The row decides, as at every end."""
    job = make_job()
    store.add([job])
    store.claim([job.id], "worker")
    store.cancel([job.id])
    assert not store.ask_again(job.id, job.parsed_request())
    assert store.job(job.id).status == JobStatus.CANCELLED


def test_attempts_for_quality_do_not_use_up_those_for_errors() -> None:
    """A full disk after two flawed answers is met for the first time."""
    job = make_job()
    job.attempts, job.quality_retries = 3, 2
    assert retry_delay(job, OutputError("full"), 3) == 1
    job.attempts = 5
    assert retry_delay(job, OutputError("full"), 3) is None

"""`captionq jobs`: list, show, cancel, retry."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import captionq
from jobs.answer_format.response_format import JSONSchemaFormat
from jobs.configuration.settings import Settings
from jobs.errors import ImageError
from jobs.requests import Message, Request, TextPart, path_of
from jobs.safe_text import UNSHOWN
from jobs.sampling import Sampling
from jobs.store.file_batches.file_batch_rows import FileBatches
from jobs.store.result import FileChange
from jobs.store.store import Store
from jobs.store.tables import Batch, Job, JobStatus, Lane
from tests.support.batches import add_file_batch, request_line
from tests.support.command_output import output
from tests.support.rows import RESULT, add_batch, make_job


def test_without_a_terminal_a_job_is_a_line_and_nothing_is_cut(run: CliRunner, store: Store) -> None:
    """A pipe has no width: a long answer takes no room from its neighbours."""
    job = make_job()
    store.add([job])
    store.claim([job.id], "worker")
    text = "A large red circle.\n" * 200
    store.succeed(job.id, replace(RESULT, text=text))
    lines = output(run.invoke(captionq, ["jobs", "list"])).splitlines()
    assert lines[0].split("\t") == ["job", "status", "age", "image", "answer or reason"]
    cells = lines[1].split("\t")
    assert cells[:2] == [job.id, "succeeded"]
    assert cells[3] == "/pictures/photo.jpg"
    assert cells[4] == " ".join(text.split())


def test_jobs_are_listed_shown_cancelled_and_retried(run: CliRunner, store: Store) -> None:
    """All four commands work on one batch with an answered job and two queued ones."""
    batch, jobs = add_batch(store, 3)
    store.claim([jobs[0].id], "worker")
    store.succeed(jobs[0].id, RESULT)
    listed = output(run.invoke(captionq, ["jobs", "list", "--batch", batch.id]))
    assert "A large red circle" in listed
    assert "2 queued, 1 succeeded" in listed
    shown = output(run.invoke(captionq, ["jobs", "show", jobs[0].id]))
    assert "40 prompt (16 image) + 9 completion tokens" in shown
    assert "/pictures/0.jpg" in shown
    assert "2 queued" in output(run.invoke(captionq, ["jobs", "show", batch.id]))
    nothing = output(run.invoke(captionq, ["jobs", "retry", batch.id]))
    assert nothing == f"Nothing to retry: no job of {batch.id} failed or was cancelled.\n"
    assert output(run.invoke(captionq, ["jobs", "cancel", batch.id])) == "Cancelled 2 jobs.\n"
    nothing = output(run.invoke(captionq, ["jobs", "cancel", batch.id]))
    assert nothing == f"Nothing to cancel: all jobs of {batch.id} have ended.\n"
    assert "Queued 2 jobs as batch_" in output(run.invoke(captionq, ["jobs", "retry", batch.id]))
    assert store.counts()[JobStatus.QUEUED] == 2
    assert store.counts(batch.id)[JobStatus.CANCELLED] == 2


def test_the_total_follows_the_filter_and_stays_out_of_pipes(run: CliRunner, store: Store) -> None:
    """A pipe gets rows only; the terminal is also told how many of them it does not see."""
    _, jobs = add_batch(store, 4)
    store.cancel([job.id for job in jobs[:3]])
    result = run.invoke(captionq, ["jobs", "list", "--status", "cancelled", "--limit", "2"])
    assert len(result.stdout.splitlines()) == 3
    assert result.stderr == "3 cancelled; the newest 2 are shown\n"
    assert run.invoke(captionq, ["jobs", "list", "--status", "failed"]).stderr == "no jobs\n"


def test_a_job_shows_its_question_and_its_times(run: CliRunner, store: Store) -> None:
    """A job of a request has no image file: its id is not repeated in the image's place."""
    messages = [
        Message(role="system", content="Be brief."),
        Message(role="user", content=[TextPart(text="How many?\nCount them.")]),
    ]
    shape = JSONSchemaFormat.model_validate({"json_schema": {"name": "answer", "schema": {"type": "object"}}})
    request = Request(model="demo", messages=messages, sampling=Sampling(max_tokens=7, seed=3), response_format=shape)
    job = Job(model="demo", request=request.model_dump_json(), digest=request.digest, lane=Lane.INTERACTIVE)
    store.add([job])
    store.claim([job.id], "worker")
    store.keep_answer(job.id, "three", FileChange(None, None, "number, three", b"an older text"))
    store.succeed(job.id, RESULT)
    shown = output(run.invoke(captionq, ["jobs", "show", job.id]))
    assert re.search(r"^prompt +system: Be brief\.\n +user: How many\?\n +Count them\.$", shown, re.MULTILINE)
    assert re.search(
        r"^settings +max_tokens 7, temperature 0\.0, seed 3, format json_schema answer$", shown, re.MULTILINE
    )
    for name in ("made", "started", "finished"):
        assert re.search(rf"^{name} +20\d\d-\d\d-\d\d \d\d:\d\d:\d\d$", shown, re.MULTILINE)
    for line in (
        "lane +interactive",
        "attempts +1",
        "new text +number, three",
        "previous text +an older text",
        "seconds +queue .* decode 0.030",
    ):
        assert re.search(rf"^{line}$", shown, re.MULTILINE), line
    row = json.loads(output(run.invoke(captionq, ["jobs", "show", job.id, "--format", "json"])))
    assert (row["prompt"], row["image"]) == ("system: Be brief.\nuser: How many?\nCount them.", None)
    assert (row["settings"]["seed"], row["settings"]["response_format"]["type"]) == (3, "json_schema")
    assert row["created_at"] <= row["started_at"] <= row["finished_at"]
    assert run.invoke(captionq, ["jobs", "list"]).stdout.splitlines()[1].split("\t")[3] == ""


def test_a_terminal_of_80_columns_is_enough(run: CliRunner, store: Store) -> None:
    """The table fits, ids are whole, and brackets in a text are no markup."""
    batch, jobs = add_batch(store, 1)
    store.claim([jobs[0].id], "worker")
    store.succeed(jobs[0].id, replace(RESULT, text="[red] A large circle, and a long story about it that has no end."))
    terminal = {"FORCE_COLOR": "1", "NO_COLOR": "1", "COLUMNS": "80"}
    for command, whole in (["list"], [jobs[0].id, "succeeded", "[red]"]), (["batches"], [batch.id, "1 succeeded"]):
        lines = run.invoke(captionq, ["jobs", *command], env=terminal).stdout.splitlines()
        plain = [re.sub(r"\x1b\[\d*m", "", line) for line in lines]
        assert max(map(len, plain)) <= 80
        assert all(word in plain[1] for word in whole), plain


def test_batches_are_listed_and_pruned(run: CliRunner, store: Store) -> None:
    """In a pipe a batch is a line; as JSON it has its numbers of jobs. Ages have units."""
    batch, jobs = add_batch(store, 2)
    store.cancel([job.id for job in jobs])
    lines = run.invoke(captionq, ["jobs", "batches"]).stdout.splitlines()
    assert lines[0].split("\t") == ["batch", "age", "jobs", "model", "from"]
    assert lines[1].split("\t")[::2] == [batch.id, "2 cancelled", "pictures"]
    row = json.loads(output(run.invoke(captionq, ["jobs", "batches", "--format", "json"])))
    assert (row["id"], row["counts"]["cancelled"]) == (batch.id, 2)
    wrong = run.invoke(captionq, ["jobs", "prune", "--older-than", "30"])
    assert wrong.exit_code == 2
    assert "'30' is not an age" in wrong.output
    kept = run.invoke(captionq, ["jobs", "prune", "--older-than", "1d"])
    assert output(kept) == "Removed 0 jobs and 0 batches.\n"
    assert output(run.invoke(captionq, ["jobs", "prune", "--older-than", "0h"])) == "Removed 2 jobs and 1 batch.\n"


@pytest.mark.parametrize("command", ["list", "batches"])
def test_a_limit_may_be_any_number(run: CliRunner, store: Store, command: str) -> None:
    """The database counts to 2 to the power of 63."""
    add_batch(store, 1)
    found = run.invoke(captionq, ["jobs", command, "--limit", "9" * 30])
    assert (found.exit_code, len(found.stdout.splitlines())) == (0, 2)


def test_programs_read_json(run: CliRunner, store: Store) -> None:
    """A program gets one object a line, with the usage and the times."""
    _, jobs = add_batch(store, 1)
    store.claim([jobs[0].id], "worker")
    store.succeed(jobs[0].id, RESULT)
    row = json.loads(output(run.invoke(captionq, ["jobs", "show", jobs[0].id, "--format", "json"])))
    assert row["text"] == RESULT.text
    assert row["usage"] == {"prompt_tokens": 40, "image_tokens": 16, "completion_tokens": 9}
    assert row["image"] == "/pictures/0.jpg"
    assert row["error"] is None
    assert (row["quality"], row["logprobs"]) == (None, None)


def test_the_quality_of_an_answer_is_shown(run: CliRunner, store: Store) -> None:
    """The list, the job and its JSON show the quality; the log-probabilities are not a string in a string."""
    _, jobs = add_batch(store, 1)
    store.claim([jobs[0].id], "worker")
    logprobs = [{"token": "red", "logprob": -0.5, "bytes": [114, 101, 100], "top_logprobs": []}]
    store.succeed(jobs[0].id, replace(RESULT, text="red red red", quality="repetition", logprobs=logprobs))
    assert "(repetition) red red red" in output(run.invoke(captionq, ["jobs", "list"]))
    assert re.search(r"^quality +repetition$", output(run.invoke(captionq, ["jobs", "show", jobs[0].id])), re.MULTILINE)
    row = json.loads(output(run.invoke(captionq, ["jobs", "show", jobs[0].id, "--format", "json"])))
    assert (row["quality"], row["logprobs"]) == ("repetition", logprobs)


def test_a_job_that_is_not_there_is_an_error_in_one_line(run: CliRunner, store: Store) -> None:
    """An unknown job ends with status 1, no traceback, and the command that lists jobs."""
    result = run.invoke(captionq, ["jobs", "show", "job_nowhere"])
    assert result.exit_code == 1
    assert result.output == "Error: Job 'job_nowhere' does not exist. `captionq jobs list` shows the newest.\n"


def test_names_and_answers_cannot_steer_the_terminal(
    run: CliRunner, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list, on a terminal and in a pipe, the job, its batch and their JSON; an answer keeps its lines."""
    hostile = "\x1b[2J\r\u202egnp\x9b[red].jpg"
    batch = Batch(description=hostile, model=hostile)
    job = make_job(hostile, batch)
    store.add_batch(batch)
    store.add([job, failed := make_job(f"b{hostile}", batch)])
    store.claim([job.id], "worker")
    store.succeed(job.id, replace(RESULT, text=f"[/red] {hostile}\nsecond line"))
    store.fail(failed.id, ImageError(f"{hostile}\nis damaged."))
    for command in (["list"], ["show", job.id], ["show", failed.id], ["show", batch.id]):
        for more in ([], ["--format", "json"]):
            said = output(run.invoke(captionq, ["jobs", *command, *more]))
            assert UNSHOWN.findall(said.replace("\n", "").replace("\t", "")) == []
            assert r"\u202egnp" in said
    assert " second line\n" in output(run.invoke(captionq, ["jobs", "show", job.id]))
    row = json.loads(output(run.invoke(captionq, ["jobs", "show", job.id, "--format", "json"])))
    assert (row["image"], row["text"]) == (f"/pictures/{hostile}.jpg", f"[/red] {hostile}\nsecond line")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "300")
    drawn = output(run.invoke(captionq, ["jobs", "list"]))
    assert "\x1b[2J" not in drawn
    assert r"\x1b[2J\r\u202egnp\x9b[red].jpg" in drawn


def test_json_names_a_file_whose_name_is_not_text(run: CliRunner, store: Store) -> None:
    """The address of the file holds all bytes, and every parser of JSON reads it; the terminal shows the bytes."""
    path = Path(os.fsdecode(b"/pictures/caf\xe9.jpg"))
    job = make_job()
    job.source, job.output = path.as_uri(), path.with_suffix(".txt").as_uri()
    store.add([job])
    said = output(run.invoke(captionq, ["jobs", "show", job.id, "--format", "json"]))
    row = json.loads(said.encode().decode("utf-8", errors="strict"))
    assert (row["image"], row["output"]) == ("file:///pictures/caf%E9.jpg", "file:///pictures/caf%E9.txt")
    assert path_of(row["image"]) == path
    assert r"/pictures/caf\xe9.jpg" in output(run.invoke(captionq, ["jobs", "show", job.id]))
    assert r"caf\xe9.jpg" in output(run.invoke(captionq, ["jobs", "list"]))


def test_a_cancelled_file_of_requests_is_fed_no_more(run: CliRunner, store: Store, settings: Settings) -> None:
    """Its lines that wait for their turn have no jobs yet; the server ends the batch."""
    batch = add_file_batch(store, settings, [request_line()])
    assert output(run.invoke(captionq, ["jobs", "cancel", batch.id])) == "Cancelled 0 jobs.\n"
    assert FileBatches(store.engine).get(batch.id).status == "cancelling"

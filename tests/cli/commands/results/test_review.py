"""`captionq review` with decisions from a pipe."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from cli.main import captionq
from cli.output.report import make_report
from jobs.errors import OutputChangedError
from jobs.store.store import Store
from jobs.store.tables import Batch
from tests.support.command_output import output
from tests.support.rows import RESULT, add_batch


@pytest.fixture
def flawed(store: Store) -> Batch:
    """A run with a good answer, a refusal, a cut-off answer, and one whose file a person had written."""
    batch, jobs = add_batch(store, 4)
    store.claim([job.id for job in jobs], "worker")
    store.succeed(jobs[0].id, RESULT)
    store.succeed(jobs[1].id, replace(RESULT, text="I'm sorry, I can't.", quality="refusal"))
    store.succeed(jobs[2].id, replace(RESULT, text="An orange\x1b circle, a", quality="cut_off"))
    store.fail(jobs[3].id, OutputChangedError("photo.txt was changed."), RESULT)
    return batch


def test_the_list_names_each_reason(run: CliRunner, flawed: Batch) -> None:
    """As rows and as objects, of this run, of the newest and of all."""
    for which in ([], ["last"], ["all"], [flawed.id]):
        rows = [line.split("\t") for line in output(run.invoke(captionq, ["review", *which, "--list"])).splitlines()]
        assert [row[1:] for row in rows] == [
            ["image", "reason", "answer"],
            ["/pictures/1.jpg", "the model refuses to answer", "I'm sorry, I can't."],
            ["/pictures/2.jpg", "its answer was cut off at 9 tokens", "An orange\\x1b circle, a"],
            ["/pictures/3.jpg", "photo.txt was changed.", RESULT.text],
        ]
    listed = output(run.invoke(captionq, ["review", "--list", "--format", "json"])).splitlines()
    assert [json.loads(line)["quality"] for line in listed] == ["refusal", "cut_off", None]
    assert run.invoke(captionq, ["review", "--format", "json"]).exit_code == 2
    assert run.invoke(captionq, ["review", "batch_none"]).exit_code == 1


def test_answers_are_kept_skipped_and_left(run: CliRunner, store: Store, flawed: Batch) -> None:
    """A wrong key is asked for again; an answer that was kept does not come again; the end of the input ends the review."""
    said = output(run.invoke(captionq, ["review"], input="x\nk\ns\n"))
    assert "'x' is none of the keys." in said
    assert "1 of 3  1.jpg  (/pictures/1.jpg)" in said
    assert "Reason: the model refuses to answer" in said
    assert "\x1b" not in said
    assert said.splitlines()[-1] == "1 kept; 2 answers left"
    assert len(store.jobs(needs_review=True)) == 2
    assert output(run.invoke(captionq, ["review"], input="q\n")).splitlines()[-1] == "nothing decided; 2 answers left"
    output(run.invoke(captionq, ["review"], input="k\nk\n"))
    assert output(run.invoke(captionq, ["review"])) == "No answer needs a review.\n"


def test_a_text_that_cannot_be_written_is_shown_again(run: CliRunner, store: Store) -> None:
    """The error is a line, and an empty line leaves the text. The folder of the file does not exist."""
    _, (job,) = add_batch(store, 1)
    store.claim([job.id], "worker")
    store.succeed(job.id, replace(RESULT, quality="cut_off"))
    said = output(run.invoke(captionq, ["review"], input="e\n\ne\nA red ball.\nq\n"))
    assert "The text stays as it was." in said
    assert "could not be written" in said
    assert said.count("1 of 1") == 3
    assert len(store.jobs(needs_review=True)) == 1


def test_the_summary_names_the_command_for_answers_that_need_a_review(
    store: Store, flawed: Batch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The number is that of the command's list."""
    report = make_report(as_json=False)
    for job in store.finished_after(flawed.id, 0):
        report.finished(job)
    report.sum_up()
    assert f"3 answers need review: captionq review {flawed.id}" in capsys.readouterr().out.splitlines()

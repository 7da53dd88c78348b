"""The rate and the time left of a run."""

from __future__ import annotations

import io
import sys

import click
import pytest

from cli.output.progress_bar import ProgressBar, RunRate
from cli.output.report import make_report
from jobs.store.tables import Job, JobStatus


class Terminal(io.StringIO):
    """Standard error as a terminal that keeps its text."""

    def isatty(self) -> bool:
        return True


def ended(at: float) -> Job:
    """Return a job that started before its model was loaded, worked for a second, and ended."""
    job = Job(model="demo", request="{}", digest="", started_at=0.0, finished_at=at, status=JobStatus.SUCCEEDED)
    job.preprocess_seconds, job.prefill_seconds, job.decode_seconds = 0.25, 0.25, 0.5
    return job


def test_the_rate_counts_neither_loading_nor_more_than_half_a_minute() -> None:
    """The first group of a batch ends together, long after its start."""
    rate = RunRate()
    assert rate.recent(90.0) is None
    for _ in range(8):
        rate.count(ended(100.0))
    assert rate.recent(100.1) == pytest.approx(8 / 1.1)
    assert rate.seconds == 1.0
    for second in range(30):
        rate.count(ended(200.5 + second))
    assert rate.recent(230.0) == 1.0
    assert rate.recent(300.0) is None


def test_the_summary_gives_the_rate_of_the_pictures(capsys: pytest.CaptureFixture[str]) -> None:
    """The time before the first picture does not count."""
    report = make_report(as_json=False)
    for second in (100.0, 101.0, 102.0, 103.0):
        report.finished(ended(second))
    report.sum_up()
    assert "(1.0 images/s)" in capsys.readouterr().out


def test_the_bar_is_drawn_on_a_terminal_while_results_go_to_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `--format json > file` standard error is still a terminal."""
    screen, results = Terminal(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(sys, "stdout", results)
    monkeypatch.setenv("TERM", "xterm")
    bar = ProgressBar()
    with bar.drawn(3):
        bar.describe("Loading demo")
        bar.advance(0)
        bar.show_rate(0.5)
        click.echo('{"a": "result"}')
    assert "Starting the worker" in screen.getvalue()
    assert "1/3" in screen.getvalue()
    assert "0.5 images/s, 0:00:04 left" in screen.getvalue()
    assert results.getvalue() == '{"a": "result"}\n'

"""The sample of a run: its choice, its table, and the question."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import chain, pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cli.main import captionq
from cli.output import inline_images
from cli.output.report import make_report
from cli.runs.sample import SampleOptions, stages
from jobs.creation.chosen_images import evenly_spaced
from jobs.store.tables import Job, JobStatus
from tests.support.rows import RESULT, make_job


class Terminal(io.StringIO):
    """A terminal at which these lines are typed."""

    def isatty(self) -> bool:
        return True


def answered(name: str) -> Job:
    """Return a job that has its answer."""
    job = make_job(name)
    job.status, job.text, job.finished_at = JobStatus.SUCCEEDED, RESULT.text, 100.0
    job.output_text = f"ohwx, {RESULT.text}"
    job.prompt_tokens, job.completion_tokens, job.decode_seconds = 40, 9, 2.0
    return job


def captioned(wanted: Sequence[int], options: SampleOptions, *, as_json: bool = False) -> list[list[int]]:
    """Return the parts of a run over these images, each of which takes two seconds."""
    report, taken, jobs = make_report(as_json=as_json), list[list[int]](), list[Job]()
    for part in map(list, chain.from_iterable(stages([list(wanted)], options, lambda: jobs, report))):
        taken.append(part)
        for number in part:
            jobs.append(answered(str(number)))
            report.finished(jobs[-1])
    return taken


@given(st.integers(0, 300), st.integers(1, 400))
def test_a_sample_is_spread_evenly(count: int, size: int) -> None:
    """Every image is in one of the parts, in the order of the list, and the gaps between the sample's differ by one at most."""
    sample, others = evenly_spaced(range(count), size)
    assert len(sample) == min(size, count)
    assert sorted([*sample, *others]) == list(range(count))
    assert (sample, others) == (sorted(sample), sorted(others))
    gaps = {second - first for first, second in pairwise(sample)}
    assert not gaps or max(gaps) - min(gaps) <= 1


@pytest.mark.parametrize(
    ("typed", "rest"), [("y\n", [[1, 3, 4]]), ("n\n", []), ("\n", []), ("", [])], ids=["yes", "no", "enter", "end"]
)
def test_the_others_wait_for_a_yes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: str, rest: list[list[int]]
) -> None:
    """The sample is shown with the texts of its files, tokens and seconds, and the time of the others is estimated from it."""
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    options = SampleOptions(2, consequence=", and more")
    assert captioned(range(5), options) == [[0, 2], *rest]
    assert options.acceptance.given is bool(rest)
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "image\tanswer or reason\ttokens\tseconds",
        f"0.jpg\tohwx, {RESULT.text}\t40 + 9\t2.0",
        f"2.jpg\tohwx, {RESULT.text}\t40 + 9\t2.0",
    ]
    assert "The other 3 images will take about 0:00:03, until " in said.err
    assert "Go on with the other 3 images, and more? [y/N]" in said.err
    assert ("The texts of the sample are kept." in said.err) == (not rest)


def test_without_a_terminal_only_yes_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A script must say so: nothing would answer the question. A sample of all images asks nothing."""
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert captioned(range(5), SampleOptions(2)) == [[0, 2]]
    assert "To go on with the other 3 images, add --yes." in capsys.readouterr().err
    assert captioned(range(5), SampleOptions(2, assume_yes=True)) == [[0, 2], [1, 3, 4]]
    unasked = SampleOptions(9)
    assert captioned(range(5), unasked) == [[0, 1, 2, 3, 4]]
    assert unasked.acceptance.given is None
    assert captioned(range(5), SampleOptions()) == [[0, 1, 2, 3, 4]]
    capsys.readouterr()
    captioned(range(5), SampleOptions(2), as_json=True)
    assert all(line.startswith("{") for line in capsys.readouterr().out.splitlines())


@pytest.mark.parametrize(
    ("options", "reason"),
    [(["--yes"], "--yes goes with --sample"), (["--dry-run", "--sample", "1"], "without --sample")],
)
def test_options_that_need_another_are_refused(run: CliRunner, tmp_path: Path, options: list[str], reason: str) -> None:
    """The sentence names both."""
    result = run.invoke(captionq, ["caption", str(tmp_path), *options])
    assert (result.exit_code, reason in result.stderr) == (2, True)


@pytest.mark.parametrize(
    ("variables", "start"),
    [
        ({"TERM_PROGRAM": "iTerm.app"}, "\x1b]1337;File=inline=1;"),
        ({"TERM_PROGRAM": "WezTerm"}, "\x1b]1337;File=inline=1;"),
        ({"KITTY_WINDOW_ID": "1"}, "\x1b_Ga=T,f=100,m="),
        ({"TERM_PROGRAM": "ghostty"}, "\x1b_Ga=T,f=100,m="),
        ({"KITTY_WINDOW_ID": "1", "TMUX": "x"}, None),
        ({"TERM_PROGRAM": "Apple_Terminal"}, None),
    ],
)
def test_a_picture_is_shown_where_the_terminal_can(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variables: dict[str, str], start: str | None
) -> None:
    """In the protocol of that terminal; a file that is no picture, and a pipe, show nothing."""
    for name in ("TERM_PROGRAM", "KITTY_WINDOW_ID", "TMUX", "STY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    Image.new("RGB", (900, 600), "red").save(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("no picture")
    assert inline_images.inline_image(tmp_path / "a.png") is None
    monkeypatch.setattr("sys.stdout", Terminal())
    shown = inline_images.inline_image(tmp_path / "a.png")
    assert shown is None if start is None else (shown or "").startswith(start)
    assert inline_images.inline_image(tmp_path / "b.png") is None

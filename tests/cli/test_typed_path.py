"""Paths of arguments and options."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import captionq
from jobs.store.store import Store


@pytest.mark.parametrize(
    "command",
    [
        ["caption", ""],
        ["caption", "photo.jpg", "--table", ""],
        ["caption", "--photos-library", "--texts-in", ""],
        ["ask", "", "How many?"],
        ["ask", "", "-q", "n=How many?:int"],
        ["serve", "--allow-root", ""],
        ["mcp", "--allow-root", ""],
        ["bench", ""],
        ["backup", ""],
    ],
    ids=" ".join,
)
def test_an_empty_path_is_not_the_current_folder(
    run: CliRunner, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    """A variable of the shell that is not set would caption, or serve, whatever folder the shell is in."""
    monkeypatch.chdir(tmp_path)
    Path("photo.jpg").touch()
    found = run.invoke(captionq, [*command, *(["--model", "demo"] if command[0] in ("caption", "ask") else [])])
    assert found.exit_code == 2
    assert "The path is empty. Is it a variable of the shell that is not set?" in " ".join(found.output.split())
    assert [path.name for path in tmp_path.iterdir() if path.suffix] == ["photo.jpg"]
    assert sum(store.counts().values()) == 0


@pytest.mark.parametrize(
    "command",
    [
        ["batch", "run", "-i", "requests.jsonl", "-o", "nowhere/answers.jsonl"],
        ["batch", "run", "-i", "requests.jsonl", "-o", "answers.jsonl", "--errors", "nowhere/errors.jsonl"],
        ["batch", "fetch", "last", "-o", "nowhere/answers.jsonl"],
        ["bench", "--plot", "nowhere/bench.png"],
        ["doctor", "--report", "nowhere/report.json"],
    ],
    ids=" ".join,
)
def test_a_file_to_write_has_a_folder_before_anything_is_done(
    run: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    """A benchmark of an hour would end in a stack of Python instead of its chart."""
    monkeypatch.chdir(tmp_path)
    Path("requests.jsonl").touch()
    found = run.invoke(captionq, command)
    assert found.exit_code == 2
    assert "The folder nowhere does not exist." in found.output


def test_a_chart_is_a_png(run: CliRunner) -> None:
    """Other endings are refused before the measurement, not after it."""
    found = run.invoke(captionq, ["bench", "--plot", "bench.doc"])
    assert (found.exit_code, found.output.splitlines()[-1]) == (
        2,
        "Error: --plot: bench.doc is no PNG file. Let it end in .png.",
    )

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

"""Lists of paths on standard input."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import captionq
from cli.path_list import read_path_list


def test_a_list_has_a_path_a_line_or_paths_that_end_with_nul(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With NULs a name may hold a line end. Names need not be UTF-8, and a missing file stays in the list."""
    monkeypatch.chdir(tmp_path)
    assert read_path_list(b"a.jpg\n\n-b.jpg\nsub dir/caf\xe9.jpg") == [
        Path("a.jpg"),
        Path("-b.jpg"),
        Path(os.fsdecode(b"sub dir/caf\xe9.jpg")),
    ]
    assert read_path_list(b"a\nb.jpg\0c.jpg\0") == [Path("a\nb.jpg"), Path("c.jpg")]
    assert read_path_list(b"") == []


def test_a_list_may_have_addresses_as_json_output_has(tmp_path: Path) -> None:
    """`--format json` prints the address of a name that is not UTF-8."""
    path = tmp_path / os.fsdecode(b"caf\xe9.jpg")
    path.touch()
    assert read_path_list(path.as_uri().encode() + b"\n") == [path]


def test_an_empty_list_names_no_images(run: CliRunner) -> None:
    """As with an empty folder."""
    result = run.invoke(captionq, ["caption", "-", "--model", "demo"], input=b"")
    assert result.exit_code == 1, result.exception
    assert result.output.splitlines()[-1].startswith("No images in standard input (looked for ")

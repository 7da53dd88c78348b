"""Paths as they are typed, up to the walk: a path that does not exist is named, and nothing is captioned without pictures."""

from __future__ import annotations

import os
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from cli.main import captionq
from cli.named_paths import named_model, named_path
from jobs.models.adapters import with_adapter
from tests.support.command_output import output


def test_paths_are_taken_as_they_are_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tilde in quotes, the address of a file, a slash too many; a file of exactly this name comes first."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    odd = Path(os.fsdecode(b"caf\xe9 1.jpg"))
    odd.touch()
    assert named_path(Path("~") / odd) == tmp_path / odd
    assert named_path(Path((tmp_path / odd).as_uri())) == tmp_path / odd
    assert named_path(Path(f"{tmp_path / odd}/")) == tmp_path / odd
    for name in ("~", "~nobody-here", "file:"):
        Path(name).touch()
        assert named_path(Path(name)) == Path(name)
    (tmp_path / "dangling").symlink_to("nowhere")
    assert named_path(Path("dangling")) == Path("dangling")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("nothing.jpg", "nothing.jpg does not exist."),
        ("~nobody-here/a.jpg", "~nobody-here/a.jpg does not exist."),
        ("file:///nowhere/a.jpg", "file:/nowhere/a.jpg does not exist."),
        ("a\0b", "a\0b does not exist."),
        (
            "https://example.com/a/b.jpg",
            "https://example.com/a/b.jpg is an address of the web, not a file. Download the image first, or ask one question "
            "about it: captionq ask URL QUESTION",
        ),
        ("x" * 300, f"{'x' * 300} cannot be opened: File name too long."),
        ("cloud.heic", "cloud.heic is in iCloud and not on this Mac. Download it first, in Finder."),
    ],
)
def test_a_path_that_cannot_be_used_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str, said: str
) -> None:
    """The path is named as it was typed."""
    monkeypatch.chdir(tmp_path)
    Path(".cloud.heic.icloud").touch()
    with pytest.raises(click.UsageError) as raised:
        named_path(Path(typed))
    assert raised.value.message == said


def test_a_local_model_is_named_by_its_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker may run in another folder. A folder named like a built-in model is not taken for the model."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in ("owner/model", "demo", "adapter"):
        Path(name).mkdir(parents=True)
    whole = str(tmp_path / "owner" / "model")
    assert [named_model(typed, None) for typed in ("owner/model", "./owner/model", "~/owner/model")] == [whole] * 3
    assert named_model("./owner/model", "adapter") == with_adapter(whole, str(tmp_path / "adapter"))
    assert [named_model(typed, None) for typed in ("demo", "owner/other")] == ["demo", "owner/other"]


def test_a_run_without_images_says_so_and_fails(run: CliRunner, tmp_path: Path) -> None:
    """Nothing usable was named; a folder of captioned images is a success that says why nothing was done."""
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("a.PSD", "b.odt", "c.jpg"):
        (folder / name).touch()
    found = run.invoke(captionq, ["caption", str(folder), "--model", "demo", "--exclude", "C.*"])
    assert found.exit_code == 1
    assert found.stdout.startswith(f"No images in {folder} (looked for ")
    assert found.stdout.endswith("; 2 other files: .PSD .odt; 1 excluded)\n")
    (folder / "c.txt").write_text("a caption")
    again = ["caption", str(folder), "--model", "demo", "--prompt", "How many?"]
    assert "\n1 already has a .txt: --existing replace asks again\n" in output(run.invoke(captionq, again))
    wrong = run.invoke(captionq, ["caption", str(folder), "--model", "demo", "--exclude", "!"])
    assert (wrong.exit_code, wrong.output) == (
        1,
        "Error: The pattern '!' is not valid. Write it as in a .gitignore.\n",
    )

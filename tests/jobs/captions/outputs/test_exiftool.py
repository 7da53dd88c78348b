"""One exiftool process for many images: it starts again after its end, and ends with its owner."""

from __future__ import annotations

import errno
import io
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from jobs.captions.outputs import exiftool as exiftool_module
from jobs.captions.outputs.exiftool import ExifTool, find_exiftool
from jobs.errors import MissingToolError, OutputError
from tests.support.processes import until

needs_exiftool = pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
_SUBJECT, _DESCRIPTION = "XMP-dc:Subject", "XMP-dc:Description"


def picture(form: str = "jpeg") -> io.BytesIO:
    """Return a small picture as a file."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(file, form)
    return file


def process_of(tool: ExifTool) -> subprocess.Popen[bytes]:
    """Return the process, which runs."""
    process = tool._process
    assert process is not None
    return process


@needs_exiftool
def test_one_process_writes_many_images() -> None:
    """Whatever the values; a file that cannot be written has a reason without a path, and an unreadable one has no tags."""
    values = ["two\nlines\r\n  and $dollars @signs", ' "quoted" \\n &amp; <b>, gr\u00fcn\t', "=x", "#x", "-execute"]
    with ExifTool() as tool:
        tool.take(picture())
        first = process_of(tool)
        for value in values:
            tool.take(picture())
            assert tool.read([_DESCRIPTION]).get(_DESCRIPTION) is None
            written = tool.write([(f"{_DESCRIPTION}=", value), (f"{_SUBJECT}-=", value), (f"{_SUBJECT}+=", value)])
            assert isinstance(written, Path)
            tool.take(io.BytesIO(written.read_bytes()))
            assert tool.read([_DESCRIPTION, _SUBJECT]) | {"SourceFile": ""} == {
                "SourceFile": "",
                _DESCRIPTION: value,
                _SUBJECT: value,
            }
        for form, reason in (("bmp", "Writing of "), ("", "")):
            tool.take(picture(form) if form else io.BytesIO(b"no picture"))
            assert _DESCRIPTION not in tool.read([_DESCRIPTION])
            refused = tool.write([(f"{_DESCRIPTION}=", "x")])
            assert isinstance(refused, str)
            assert refused.startswith(reason)
            assert "captionq-" not in refused
        assert process_of(tool) is first
    folder = tool._folder
    assert first.returncode == 0
    assert not folder.exists()


@needs_exiftool
def test_a_dead_process_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once if it died between two images; an image in which it dies, or takes too long, is an error that may pass."""
    with ExifTool() as tool:
        tool.take(picture())
        first = process_of(tool)
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
        tool.take(picture())
        assert "SourceFile" in tool.read([_DESCRIPTION])
        # The shell lives on, and only exiftool ends.
        stdin = process_of(tool).stdin
        assert stdin is not None
        stdin.write(b"-stay_open\nFalse\n")
        with pytest.raises(OutputError, match=r"^exiftool ended early\.$"):
            tool.read([_DESCRIPTION])
        tool.take(picture())
        monkeypatch.setattr(exiftool_module, "PATIENCE", 0.0)
        with pytest.raises(OutputError, match="did not end within"):
            tool.read([_DESCRIPTION])
        monkeypatch.undo()
        tool.take(picture())
        assert "SourceFile" in tool.read([_DESCRIPTION])


@needs_exiftool
def test_a_group_of_ended_processes_may_refuse_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    """On macOS, `killpg` fails with EPERM then. The error is the one of an exiftool that ended, which may pass."""

    def refuse(*_: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    with ExifTool() as tool:
        tool.take(picture())
        os.killpg(process_of(tool).pid, signal.SIGKILL)
        monkeypatch.setattr("os.killpg", refuse)
        with pytest.raises(OutputError, match=r"^exiftool ended early\.$"):
            tool.read([_DESCRIPTION])
        tool.take(picture())
        assert "SourceFile" in tool.read([_DESCRIPTION])


@needs_exiftool
def test_it_ends_when_its_owner_is_killed() -> None:
    """No process and no folder is left."""
    code = (
        "import io, sys, time; from jobs.captions.outputs.exiftool import ExifTool; tool = ExifTool(); "
        "tool.take(io.BytesIO()); print(tool._process.pid, tool._folder, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        group, folder = owner.stdout.readline().split()
        owner.kill()

    def is_gone() -> bool:
        try:
            os.killpg(int(group), 0)
        except ProcessLookupError:
            return not Path(folder).exists()
        return False

    until(is_gone, "exiftool is gone")


def test_a_missing_exiftool_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the commands that install it."""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingToolError, match="brew install exiftool"):
        find_exiftool()

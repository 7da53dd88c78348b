"""One exiftool process for many images, by its documented protocol (`-stay_open True -@ -`): starting it takes long."""

from __future__ import annotations

import html
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, BinaryIO, Self

from jobs.errors import MissingToolError, OutputError, first_line

#: Seconds that exiftool may take for a command.
PATIENCE = 120.0
#: Seconds that an idle exiftool gets to end.
END_SECONDS = 5.0
#: Printed after the output of each command.
_READY = b"{ready1}\n"
#: Characters of a value that have a meaning in exiftool's file of arguments, or are lost at its ends.
_ESCAPED = {ord(character): f"&#{ord(character)};" for character in "\n\r\t "}
#: exiftool never notices the end of its input, so `cat` does, also when the worker was killed. The shell then removes the folder.
#: It gives standard output away: whoever reads there sees the end of exiftool.
_SHELL = """
folder=$1; shift
exec 3<&0
{ cat <&3; printf '%s\\n' -stay_open False; } | "$@" 3<&- &
exec 3<&- >&-
wait
rm -rf -- "$folder"
"""


def find_exiftool() -> str:
    """Return the path of exiftool. Raises MissingToolError."""
    found = shutil.which("exiftool")
    if found is None:
        raise MissingToolError(
            "To write captions into image files, captionq needs exiftool, which is not installed. On a Mac: "
            "brew install exiftool; on Debian and Ubuntu: apt install libimage-exiftool-perl."
        )
    return found


class ExifTool:
    """An exiftool process: started by the first image, started again after its end. For one thread at a time.

    It sees only a copy of the image, in a folder of its own, so no name of a file can be taken for an option or a pattern.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = Path()
        self._messages: IO[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def take(self, image: BinaryIO) -> None:
        """Copy the image that the next calls are about. Raises MissingToolError, OutputError."""
        if not self._is_ready():
            self.close()
            self._start()
        image.seek(0)
        with self._source.open("wb") as copy:
            shutil.copyfileobj(image, copy, 1 << 20)

    def read(self, tags: Sequence[str]) -> dict[str, Any]:
        """Return the image's tags by their names with their groups; empty if exiftool cannot read it. Raises OutputError."""
        output, _ = self._run(["-json", "-G1", *(f"-{tag}" for tag in tags), str(self._source)])
        try:
            return dict(json.loads(output)[0])
        except (ValueError, LookupError, TypeError):
            return {}

    def recode_iptc(self, charset: str) -> None:
        """Convert the IPTC of the copy to UTF-8. `charset`: exiftool's name of the encoding that it has. Raises OutputError."""
        conversion = ["-charset", f"iptc={charset}", "-tagsFromFile", "@", "-IPTC:all", "-IPTC:CodedCharacterSet=UTF8"]
        self._run(["-quiet", "-m", *conversion, "-overwrite_original", str(self._source)])

    def write(self, values: Sequence[tuple[str, str]]) -> Path | str:
        """Write a copy of the image with new values of tags, and return its path, or the reason why there is none.

        Args:
            values: a tag with `=`, `+=` or `-=`, and its value. A tag may come several times.

        Raises OutputError.
        """
        self._target.unlink(missing_ok=True)
        # -E: values are escaped as in HTML. -m: long captions are written whole.
        escaped = [f"-{tag}{html.escape(value, quote=False).translate(_ESCAPED)}" for tag, value in values]
        _, messages = self._run(["-quiet", "-m", "-E", *escaped, "-o", str(self._target), str(self._source)])
        if self._target.exists() and self._target.stat().st_size:
            return self._target
        lines = [line for line in messages.splitlines() if line.strip()]
        return lines[0].removeprefix("Error: ").split(f" - {self._folder}")[0] if lines else "it gave no reason"

    def close(self) -> None:
        """End the process, if it runs. The next image starts another."""
        if self._process is None:
            return
        process, self._process = self._process, None
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(OSError):
            process.stdin.close()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            _kill_group(process)
            process.wait()
        process.stdout.close()
        if self._messages is not None:
            self._messages.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _source(self) -> Path:
        return self._folder / "source.tmp"

    @property
    def _target(self) -> Path:
        return self._folder / "target.tmp"

    def _start(self) -> None:
        tool = find_exiftool()
        try:
            self._folder = Path(tempfile.mkdtemp(prefix="captionq-exiftool-"))
            self._messages = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the process)
            # -config with an empty name: a person's own configuration changes nothing.
            command = [tool, "-config", "", "-stay_open", "True", "-@", "-"]
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _SHELL, "sh", str(self._folder), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._messages,
                bufsize=0,
                # Ctrl-C is the worker's: the image that is being written is completed.
                start_new_session=True,
            )
        except OSError as error:
            raise OutputError(f"exiftool could not be started: {first_line(error)}.") from error

    def _is_ready(self) -> bool:
        """Check whether the process waits for a command. Between two commands its output is silent until its end."""
        if self._process is None or self._process.poll() is not None:
            return False
        assert self._process.stdout is not None
        return not select.select([self._process.stdout], [], [], 0)[0]

    def _run(self, arguments: Sequence[str]) -> tuple[bytes, str]:
        """Run a command; return its output and its messages. Raises OutputError; the process has ended then."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._messages is not None
        command = "\n".join([*arguments, "-execute1", ""]).encode(errors="replace")
        try:
            self._process.stdin.write(command)
            output = self._output()
        except (OSError, EOFError) as error:
            reason = f"did not end within {PATIENCE:.0f} seconds" if isinstance(error, TimeoutError) else "ended early"
            self._kill()
            raise OutputError(f"exiftool {reason}.") from error
        self._messages.seek(0)
        messages = self._messages.read().decode(errors="replace")
        # The process writes at the same position of the same open file.
        self._messages.seek(0)
        self._messages.truncate()
        return output, messages

    def _output(self) -> bytes:
        """Read the output of a command to its end. Raises TimeoutError, EOFError."""
        assert self._process is not None
        assert self._process.stdout is not None
        output, deadline = b"", time.monotonic() + PATIENCE
        while not output.endswith(_READY):
            if not select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError
            more = os.read(self._process.stdout.fileno(), 1 << 16)
            if not more:
                raise EOFError
            output += more
        return output.removesuffix(_READY)

    def _kill(self) -> None:
        assert self._process is not None
        _kill_group(self._process)
        self.close()


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    # macOS refuses the signal (EPERM) if all processes of the group have ended, and this one was not waited for.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)

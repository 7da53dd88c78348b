"""The clock that tests let jump jumps, for programs and for the times of their files."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.chaos.clock import JumpingClock, can_jump

_SHOW = """
import os, sys, time
for _ in sys.stdin:
    open(sys.argv[1], "w").close()
    print(time.time(), os.stat(sys.argv[1]).st_mtime, os.stat(sys.argv[0]).st_mtime, time.monotonic(), flush=True)
"""


@pytest.mark.skipif(not can_jump(), reason="no library can be preloaded here")
def test_a_running_program_sees_jumps(tmp_path: Path) -> None:
    """A file that is written after a jump has a time after the jump, and one from before keeps its own."""
    clock, script = JumpingClock(tmp_path), tmp_path / "show.py"
    script.write_text(_SHOW)
    # A file from the last tick before a jump counts as written after it.
    time.sleep(0.05)
    command = [sys.executable, str(script), str(tmp_path / "file")]
    environment = {**os.environ, **clock.environment}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as shown:
        assert shown.stdin is not None
        assert shown.stdout is not None
        for offset in (0.0, 3600.0, -7200.0, 0.0):
            clock.jump(offset)
            shown.stdin.write("\n")
            shown.stdin.flush()
            now, written, old, monotonic = map(float, shown.stdout.readline().split())
            assert abs(now - offset - time.time()) < 60
            assert abs(written - now) < 60
            assert old == script.stat().st_mtime
            assert abs(monotonic - time.monotonic()) < 60
        shown.stdin.close()

"""A clock that jumps for all processes of a run: `clock_shim.c`, compiled and preloaded."""

from __future__ import annotations

import mmap
import platform
import shutil
import struct
import subprocess
import time
from pathlib import Path

_SOURCE = Path(__file__).with_name("clock_shim.c")
#: As in the shim: the number of jumps, then pairs.
_MOST, _PAIR = 1000, struct.Struct("=qq")


def can_jump() -> bool:
    """Tell whether a library can be compiled and preloaded here."""
    return platform.system() == "Linux" and shutil.which("gcc") is not None


class JumpingClock:
    """The clock that processes with its `environment` see."""

    def __init__(self, folder: Path) -> None:
        """Compile the library into the folder."""
        library, table = folder / "clock_shim.so", folder / "clock"
        command = ["gcc", "-Wall", "-Werror", "-shared", "-fPIC", "-O1", "-o", str(library), str(_SOURCE), "-ldl"]
        subprocess.run(command, check=True)
        table.write_bytes(b"\0" * (8 + _MOST * _PAIR.size))
        with table.open("r+b") as file:
            self._table = mmap.mmap(file.fileno(), 0)
        self._count = 0
        self.environment = {"LD_PRELOAD": str(library), "CLOCK_SHIM_FILE": str(table)}

    def jump(self, offset: float) -> None:
        """Set the clock to the true time plus `offset` seconds."""
        at = 8 + self._count * _PAIR.size
        self._table[at : at + _PAIR.size] = _PAIR.pack(time.time_ns(), int(offset * 1e9))
        self._count += 1
        # The pair first: a process that sees the number finds the jump.
        self._table[:8] = struct.pack("=q", self._count)

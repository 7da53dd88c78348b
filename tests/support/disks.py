"""Small disks in memory, which tests fill to the last byte."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

#: A folder in memory, and the bytes that the files of the tests' databases may need there.
_MEMORY, _NEEDED = Path("/dev/shm"), 1_000_000_000


def memory() -> Path | None:
    """Return a folder in memory; None: there is none, or little room. Programs need not be allowed to run there."""
    return _MEMORY if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _NEEDED else None


def can_mount(folder: Path) -> bool:
    """Try whether a disk can be mounted here, at a folder that is made if it is missing."""
    if platform.system() != "Linux" or os.geteuid() != 0:
        return False
    folder.mkdir(exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(folder)], capture_output=True, check=False)
    if done.returncode == 0:
        subprocess.run(["umount", "-l", str(folder)], check=True)
    return done.returncode == 0


@contextmanager
def mounted(folder: Path, size: str, *options: str) -> Iterator[Path]:
    """Mount a small disk in memory for the block. Skips the test where that is not permitted."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", ",".join([f"size={size}", *options]), "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no disk can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Fill the disk of a folder to its last byte. Returns the file that does it."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (65536, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
    return ballast

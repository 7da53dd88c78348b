"""Files that are the same in all processes of a test run and take seconds to make: the first process makes them."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobs.file_locks import exclusive

_VARIABLE = "CAPTIONQ_TEST_SHARED_FILES"


def make_shared_folder(config: pytest.Config) -> None:
    """Make the folder of a test run. The processes that pytest-xdist starts inherit its path."""
    if hasattr(config, "workerinput"):
        return
    folder = _new_folder()
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


@contextmanager
def shared_folder(name: str) -> Iterator[Path]:
    """Yield a folder of this name, while no other process of the test run is in the same block."""
    if _VARIABLE not in os.environ:
        # A tool or a benchmark: no test run made the folder.
        atexit.register(shutil.rmtree, _new_folder(), ignore_errors=True)
    folder = Path(os.environ[_VARIABLE]) / name
    folder.mkdir(exist_ok=True)
    with exclusive(folder.with_suffix(".lock")):
        yield folder


def _new_folder() -> str:
    folder = os.environ[_VARIABLE] = tempfile.mkdtemp(prefix="captionq-tests-")
    return folder

"""Locks between processes."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from jobs.errors import DataFolderError
from jobs.file_locks import exclusive, try_lock


def test_a_lock_is_held_once_or_shared(tmp_path: Path) -> None:
    """A second holder is refused, unless both share the lock."""
    with (tmp_path / "lock").open("w") as first, (tmp_path / "lock").open("w") as second:
        assert try_lock(first, fcntl.LOCK_EX)
        assert not try_lock(second, fcntl.LOCK_SH)
        assert try_lock(first, fcntl.LOCK_SH)
        assert try_lock(second, fcntl.LOCK_SH)
        assert not try_lock(second, fcntl.LOCK_EX)


def test_a_file_system_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some network shares have no locks."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(DataFolderError, match="CAPTIONQ_DATA_DIR"), exclusive(tmp_path / "lock"):
        pass

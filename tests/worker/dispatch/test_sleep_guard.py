"""The guard that keeps a Mac awake: a real process, which lives as long as the work."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from tests.support.processes import until
from worker.dispatch.sleep_guard import SleepGuard


@pytest.fixture
def caffeinate(tmp_path: Path) -> Path:
    """A program that notes its arguments and sleeps, as macOS' own does."""
    program = tmp_path / "caffeinate"
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\nexec sleep 600\n')
    program.chmod(0o700)
    return program


def test_the_program_runs_only_while_the_guard_is_held(caffeinate: Path, tmp_path: Path) -> None:
    """It also ends with this process, whose id it is given; no zombie stays."""
    before = set(psutil.Process().children())
    with SleepGuard(caffeinate).held():
        noted = tmp_path / "arguments"
        until(lambda: noted.exists() and noted.read_text() == f"-is -w {os.getpid()}\n", "its arguments")
        [program] = set(psutil.Process().children()) - before
    assert not program.is_running()
    assert set(psutil.Process().children()) == before


def test_a_system_without_the_program_needs_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """On a Mac its absence is said once; elsewhere nothing is started."""
    before = psutil.Process().children()
    for guard in (SleepGuard(None), SleepGuard(tmp_path / "missing")):
        with guard.held(), guard.held():
            assert psutil.Process().children() == before
    assert len(caplog.records) == 1

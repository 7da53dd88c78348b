"""Programs and files in place of the system's own."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from worker.dispatch.conditions import system_programs


@pytest.fixture(autouse=True)
def _forget_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test logs its own failures."""
    monkeypatch.setattr(system_programs, "_failed", set())


@pytest.fixture
def make_program(tmp_path: Path) -> Callable[..., Path]:
    """A function that makes a program which prints a text, if it is given the right arguments, and ends with a status."""

    def make(text: str, *, arguments: str | None = None, status: int = 0, name: str = "program") -> Path:
        program = tmp_path / f"a {name}"
        check = "" if arguments is None else f'[ "$*" = {shlex.quote(arguments)} ] || exit 64\n'
        program.write_text(f"#!/bin/sh\n{check}printf %s {shlex.quote(text)}\nexit {status}\n")
        program.chmod(0o700)
        return program

    return make

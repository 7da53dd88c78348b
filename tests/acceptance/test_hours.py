"""A run outside of the hours: the command says what it waits for, and nothing is captioned before."""

from __future__ import annotations

import re
import signal
from pathlib import Path

from tests.support.processes import Captionq, ended
from tests.support.scenes import save_scenes
from tests.worker.dispatch.conditions.test_bulk_conditions import hours_without_now


def test_a_run_waits_for_its_hours_and_says_so(captionq: Captionq, tmp_path: Path) -> None:
    """Ctrl-C ends the wait, and without the hours the same command captions."""
    folder = tmp_path / "pictures"
    captions = save_scenes(folder, 2)
    captionq.environment["CAPTIONQ_HOURS"] = hours_without_now()
    waiting = captionq.start("caption", folder)
    assert waiting.stderr is not None
    said = next(line for line in waiting.stderr if "waits" in line)
    assert re.fullmatch(
        r"Bulk work waits until \d\d:00 \(CAPTIONQ_HOURS\)\. The jobs are stored, and go on by themselves\.\n", said
    )
    assert not [path for path in captions if path.with_suffix(".txt").exists()]
    waiting.send_signal(signal.SIGINT)
    assert ended(waiting).returncode == 130
    del captionq.environment["CAPTIONQ_HOURS"]
    assert "2 images: 2 captioned" in captionq.run("caption", folder).stdout

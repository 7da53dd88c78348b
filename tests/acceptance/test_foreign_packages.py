"""captionq beside packages of another project that have the names of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.bad_images import write_noisy_tiff
from tests.support.processes import PATIENCE, Captionq, ended
from tests.support.scenes import save_scenes


def test_captionq_runs_its_own_packages(captionq: Captionq, tmp_path: Path) -> None:
    """The command, its worker and the worker's decoder process import none of those on PYTHONPATH and in the folder."""
    foreign = tmp_path / "foreign"
    for name in ("jobs", "worker", "api", "cli"):
        (foreign / name).mkdir(parents=True)
        (foreign / name / "__init__.py").write_text(f"raise RuntimeError('the foreign {name} was imported')\n")
    captionq.environment["PYTHONPATH"] = str(foreign)
    shown = ended(captionq.start("--version"))
    assert (shown.returncode, shown.stderr) == (0, "")
    captions = save_scenes(tmp_path / "pictures", 1)
    # Decoded in a process of its own.
    write_noisy_tiff(tmp_path / "pictures" / "noisy.tiff")
    ran = subprocess.run(
        [sys.executable, "-m", "captionq", "caption", tmp_path / "pictures"],
        cwd=foreign,
        env=captionq.environment | {"PYTHONPATH": os.pathsep.join([str(foreign), str(Path(__file__).parents[2])])},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert {path: path.with_suffix(".txt").read_text().rstrip("\n") for path in captions} == captions
    assert (tmp_path / "pictures" / "noisy.txt").exists()

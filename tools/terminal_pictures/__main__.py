"""Draw docs/pictures from real sessions: `python -m tools.terminal_pictures`. It needs tmux."""

from __future__ import annotations

import os
import random
import re
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

from tools.demo_model.scenes import SIZES, make_scene, render
from tools.terminal_pictures.drawing import drawn
from tools.terminal_pictures.screen import COLUMNS, Screen

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures"
SHOWN_HOME = "/Users/me"
BIN = Path(sys.executable).parent
#: Images of the run whose progress is shown.
MANY = 240


def main() -> None:
    """Draw all pictures."""
    # As long as the name that is shown in its place, so that no line moves.
    home = Path("/tmp", secrets.token_hex(2))  # noqa: S108 — made here, or the command fails
    home.mkdir()
    try:
        _draw_all(home)
    finally:
        shutil.rmtree(home)


def _draw_all(home: Path) -> None:
    _lay_out(home)
    environment = {
        "HOME": str(home),
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "CAPTIONQ_DATA_DIR": str(home / "captionq"),
        "CAPTIONQ_MODEL": "demo",
    }
    # The worker that stays answers at once.
    asked: list[str | Path] = [BIN / "captionq", "ask", home / "training" / "scene-01.jpg", "What do you see?"]
    subprocess.run(asked, env={**os.environ, **environment}, check=True)
    try:
        for picture, session in (("progress.svg", _progress), ("sample.svg", _sample)):
            with Screen(home, environment) as screen:
                session(screen)
                (PICTURES / picture).write_text(drawn(screen.read().replace(str(home), SHOWN_HOME), COLUMNS))
    finally:
        subprocess.run([BIN / "captionq", "stop"], env={**os.environ, **environment}, check=True)


def _lay_out(home: Path) -> None:
    for folder, count in (("2024", 60), ("2025", MANY)):
        (home / "Pictures" / folder).mkdir(parents=True)
        for number in range(count):
            rng = random.Random(f"{folder} {number}")
            size = rng.choice(SIZES)
            image = render(make_scene(rng, size[0] / size[1]), size, rng)
            image.save(home / "Pictures" / folder / f"IMG_{number:04}.jpg")
    (home / "Pictures" / "2024" / "IMG_0060.jpg").write_bytes(b"no picture")
    (home / "Pictures" / "2024" / "IMG_0000.txt").write_text("Our garden.\n")
    (home / "training").mkdir()
    for scene in sorted((ROOT / "examples").glob("scene-0[1-6].*")):
        shutil.copy(scene, home / "training")


def _progress(screen: Screen) -> None:
    """Show the summary of one run, and the bar of the next one."""
    screen.type("captionq caption Pictures/2024")
    screen.wait(lambda text: re.search(r"^Tokens:(.|\n)*\n\$ *$", text, re.MULTILINE) is not None, "the summary")
    screen.type("captionq caption Pictures/2025")
    screen.wait(lambda text: re.search(rf" (9\d|1\d\d)/{MANY} .*left", text) is not None, "the bar")


def _sample(screen: Screen) -> None:
    """Show the table of a sample, and the question."""
    screen.type("captionq caption training --trigger ohwx --sample 3")
    screen.wait(lambda text: "[y/N]" in text, "the question")


if __name__ == "__main__":
    main()

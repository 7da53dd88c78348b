"""The tutorial and the guides: every session on their pages is run, and its output is the one on the page."""

from __future__ import annotations

import difflib
import time
from pathlib import Path

import pytest

from jobs.store.retention.pruning import prune
from jobs.store.store import Store
from tests.support.console_sessions import rewritten
from tests.support.processes import Captionq

pytestmark = pytest.mark.timeout(600)

ROOT = Path(__file__).parents[2]
#: Pages whose sessions are run here; those of docs/http.md are run by `test_clients.py`.
GUIDES = [ROOT / "docs" / "tutorial.md", *sorted((ROOT / "docs" / "guides").glob("*.md"))]


def test_the_sessions_of_the_guides_are_real(captionq: Captionq, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """Each command of each page prints what the page says. With --rewrite-guides the pages get the output instead."""
    environment = {
        **captionq.environment,
        "EXAMPLES": str(ROOT / "examples"),
        "PATH": f"{Path(captionq.script).parent}:{captionq.environment['PATH']}",
        "LC_ALL": "C.UTF-8",
    }
    # The worker that stays answers all pages.
    warm = captionq.run("ask", ROOT / "examples" / "scene-01.jpg", "What do you see?")
    assert warm.returncode == 0, warm.stderr
    store = Store(captionq.settings)
    differences: list[str] = []
    for guide in GUIDES:
        home = tmp_path / guide.stem
        home.mkdir()
        (home / "captionq.toml").touch()
        # No page knows the answers of another one.
        prune(store.engine, time.time())
        page = guide.read_text()
        played = rewritten(page, home, environment | {"CAPTIONQ_CONFIG": str(home / "captionq.toml")})
        if pytestconfig.getoption("--rewrite-guides"):
            guide.write_text(played)
            continue
        differences += difflib.unified_diff(
            page.splitlines(), played.splitlines(), str(guide.relative_to(ROOT)), "the real session", lineterm=""
        )
    store.close()
    assert not differences, "\n".join(["If the new output is right, run: make guides", *differences])

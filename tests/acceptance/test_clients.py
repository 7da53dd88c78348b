"""Clients that people use: the examples of docs/http.md exactly as printed, and a command-line client of OpenAI's API."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.configuration.settings import Settings
from tests.acceptance.test_chat import png
from tests.support.processes import DATA_FOLDER
from tests.support.scenes import draw_many
from tests.support.serving import Served, serving

pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).parent.parent.parent
#: A command, over some lines, and its output, with … for the parts that differ.
EXAMPLE = re.compile(r"^```console\n\$ (curl .*?)\n((?:[{d]|…).*?)^```", re.MULTILINE | re.DOTALL)
EXAMPLES = EXAMPLE.findall((ROOT / "docs" / "http.md").read_text())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all tests of this file, which serves the examples."""
    folder = tmp_path_factory.mktemp("clients")
    shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("*.txt"))
    settings = Settings(data_dir=folder / DATA_FOLDER)
    settings.make_folders()
    with serving(settings, "--allow-root", folder / "examples") as running:
        yield running


def test_the_page_has_its_examples() -> None:
    """The pattern finds every example."""
    assert len(EXAMPLES) == (ROOT / "docs" / "http.md").read_text().count("$ curl")


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
@pytest.mark.parametrize(("command", "printed"), EXAMPLES)
def test_an_example_prints_what_the_page_says(served: Served, command: str, printed: str) -> None:
    """A … on the page stands for any text."""
    pictures = served.captionq.settings.data_dir.parent / "examples"
    environment = {**os.environ, "URL": served.url, "PICTURES": str(pictures), "NO_PROXY": "*"}
    done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    rest = done.stdout
    for piece in re.split(r"…\n?", printed.strip()):
        assert piece.strip() in rest, done.stdout
        rest = rest[rest.index(piece.strip()) + len(piece.strip()) :]


def test_llm_asks_about_a_picture(served: Served, tmp_path: Path) -> None:
    """Simon Willison's command-line client works with an attachment, streamed and not."""
    drawn = draw_many(1)[0]
    (tmp_path / "picture.png").write_bytes(png(drawn))
    (tmp_path / "extra-openai-models.yaml").write_text(
        f"- model_id: mine\n  model_name: demo\n  api_base: {served.url}/v1\n  vision: true\n  api_key_name: none\n"
    )
    environment = {**os.environ, "LLM_USER_PATH": str(tmp_path), "OPENAI_API_KEY": "any", "NO_PROXY": "*"}
    command = [str(Path(sys.executable).with_name("llm")), "-m", "mine", "-a", str(tmp_path / "picture.png")]
    for options in ([], ["--no-stream"]):
        done = subprocess.run(
            [*command, *options, "--key", "any", "Describe this image."],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.stdout.strip() == drawn.caption, done.stderr

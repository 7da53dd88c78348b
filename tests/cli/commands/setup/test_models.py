"""`captionq models` and `captionq models pull`, with a hub on loopback."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import captionq
from jobs.configuration.settings import Settings
from jobs.models.model_info import built_in_models
from tests.support.command_output import output
from tests.support.hub import local_hub
from tests.support.processes import Captionq


def test_the_models_that_are_here_are_listed(run: CliRunner) -> None:
    """The built-in models are always listed, with the size of their weights."""
    listed = output(run.invoke(captionq, ["models"]))
    assert re.search(r"^demo +vision +2\.\d MB +32 at once +not tried +/.*demo$", listed, re.MULTILINE)
    assert re.search(r"^demo-text +text +\d+\.\d kB +32 at once +not tried +/.*demo-text$", listed, re.MULTILINE)


def test_a_model_is_pulled_once_with_its_size_before(settings: Settings, tmp_path: Path) -> None:
    """The hub breaks off once, and the rest is asked for. Files that no library reads are left out."""
    source = tmp_path / "source"
    shutil.copytree(built_in_models()["demo"], source)
    shutil.copy(source / "model.safetensors", source / "consolidated.safetensors")
    with (source / "more.safetensors").open("wb") as more:
        more.truncate(22_000_000)
    (source / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    started = Captionq(settings)
    started.environment["HF_HOME"] = str(tmp_path / "huggingface")
    with local_hub({"somebody/small": source}, breaks_off_once="more.safetensors") as hub:
        started.environment |= hub
        described = json.loads(started.run("models", "info", "somebody/small", "--format", "json").stdout)
        pulled = started.run("models", "pull", "somebody/small")
    assert described["licence"] == "apache-2.0"
    assert described["bytes"] is None
    assert 24_000_000 < described["download"] < 25_000_000
    assert pulled.returncode == 0, pulled.stderr
    assert re.fullmatch(r"somebody/small: 24\.\d MB to download\n", pulled.stderr)
    found = re.fullmatch(r"somebody/small is here now: (/.+) \(24\.\d MB\)\n", pulled.stdout)
    assert found is not None, pulled.stdout
    assert (Path(found[1]) / "model.safetensors").exists()
    assert not (Path(found[1]) / "consolidated.safetensors").exists()
    again = started.run("models", "pull", "somebody/small")
    assert again.stdout.startswith(f"somebody/small is here already: {found[1]}")
    assert started.run("models", "pull", "./nowhere").stderr.startswith("Error: There is no model './nowhere'.")
    away = started.run("models", "pull", "somebody/other")
    assert away.returncode == 1
    assert re.fullmatch(
        r"Error: 'somebody/other' could not be downloaded: 127\.0\.0\.1:\d+ cannot be reached \(Connection refused\)\. .*\n",
        away.stderr,
    )


def test_a_model_larger_than_the_disk_is_not_begun(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The message names both sizes and the folder."""
    from jobs.errors import ModelUnavailableError
    from worker.models.download import DownloadSize, check_room

    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "not" / "made" / "yet"))
    with pytest.raises(ModelUnavailableError, match=rf"'somebody/large' needs 1\.0 EB.*{tmp_path}"):
        check_room("somebody/large", DownloadSize(total=10**18, missing=10**18), names_folder=True)

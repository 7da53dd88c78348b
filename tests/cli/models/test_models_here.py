"""`captionq models list`, `info`, `remove` and `recommend` with a Hugging Face cache of the test's own."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.main import captionq
from cli.models.removal import find_cached
from jobs.errors import ModelNotFoundError
from jobs.models.model_info import built_in_models
from tests.support.command_output import output

CARD = "---\nlicense: other\nlicense_name: my-licence\ntags:\n- vision\n---\n# A model\n"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with the model somebody/small."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    repository = cache / "models--somebody--small"
    shutil.copytree(built_in_models()["demo"], repository / "snapshots" / "abc")
    (repository / "snapshots/abc/README.md").write_text(CARD)
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text("abc")
    (cache / ".locks" / repository.name).mkdir(parents=True)
    return cache


def as_json(run: CliRunner, *arguments: str) -> dict[str, Any]:
    """Return the object that a command prints."""
    found: dict[str, Any] = json.loads(output(run.invoke(captionq, ["models", *arguments, "--format", "json"])))
    return found


def test_the_list_says_what_fits(run: CliRunner, cache: Path) -> None:
    """The list needs no word, and `list` is the word for it. Weights larger than the memory do not fit."""
    listed = output(run.invoke(captionq, ["models"]))
    assert re.search(r"^somebody/small +vision +2\.4 MB +32 at once +not tried +/", listed, re.MULTILINE)
    assert output(run.invoke(captionq, ["models", "list"])) == listed
    small = output(run.invoke(captionq, ["models"], env={"CAPTIONQ_MEMORY_BUDGET": "1MB"}))
    assert re.search(r"^somebody/small +vision +2\.4 MB +too large +not tried", small, re.MULTILINE)


def test_a_model_is_described(run: CliRunner, cache: Path) -> None:
    """Licence from its card, revision from the cache, pixels from its processor."""
    found = as_json(run, "info", "somebody/small")
    assert found["licence"] == "my-licence"
    assert found["revision"] == "abc"
    assert found["processor_pixels"] == [4096, 6144]
    assert found["sequences"] == 32
    assert found["download"] is None
    page = output(run.invoke(captionq, ["models", "info", "somebody/small"], env={"CAPTIONQ_MEMORY_BUDGET": "2MB"}))
    assert "memory    too large: models may use 2.0 MB here" in page
    assert "pixels    up to 1,048,576 (CAPTIONQ_MAX_PIXELS); its processor takes 4,096 to 6,144" in page
    assert "licence   mit" in output(run.invoke(captionq, ["models", "info", "demo"]))


def test_files_of_a_model_cannot_break_its_page(run: CliRunner, cache: Path) -> None:
    """Its files may hold anything: only words of the known kind are shown."""
    snapshot = cache / "models--somebody--small/snapshots/abc"
    (snapshot / "README.md").write_text("---\nlicense: \x1b[2Jmit\n---\n")
    (snapshot / "preprocessor_config.json").write_text('{"size": "large", "min_pixels": true}')
    config = json.loads((snapshot / "config.json").read_text())
    config |= {"model_type": "\x1b[2J\u202evl", "quantization": 4}
    config["text_config"] |= {"num_hidden_layers": "many"}
    (snapshot / "config.json").write_text(json.dumps(config))
    page = output(run.invoke(captionq, ["models", "info", "somebody/small"]))
    assert r"vision, \x1b[2J\u202evl" in page
    assert "licence   not named" in page
    assert re.search(r"memory    models may use .* here$", page, re.MULTILINE)


@pytest.mark.parametrize("name", ["\x1b[2J/y", "a..b/c", "a/" + "b" * 200, "ä/b", "a/b.git"])
def test_a_name_that_no_repository_has_is_told(run: CliRunner, cache: Path, name: str) -> None:
    """Also without a network."""
    refused = run.invoke(captionq, ["models", "info", name])
    assert refused.exit_code == 1
    assert refused.stderr.startswith("Error: There is no model '")


def test_a_model_is_removed_after_a_question(run: CliRunner, cache: Path) -> None:
    """Without a terminal the command wants --yes. Its locks go, too."""
    asked = run.invoke(captionq, ["models", "remove", "somebody/small"])
    assert asked.exit_code == 2
    assert "--yes" in asked.stderr
    (cache / "models--somebody--other").mkdir()
    removed = output(run.invoke(captionq, ["models", "remove", "somebody/small", "--yes"]))
    assert re.fullmatch(r"Removed somebody/small: 2\.\d MB are free again\.\n", removed)
    assert sorted(path.name for path in cache.iterdir()) == [".locks", "models--somebody--other"]
    assert list((cache / ".locks").iterdir()) == []


@pytest.mark.parametrize(
    "name",
    ["../outside", "..", "", "/", ".", "*/*", "somebody/*", "somebody/small/../../outside", "somebody/../outside", "\x00/a",
     "somebody--small", "../cache/models--somebody--small", "somebody/small/", "a" * 5000 + "/b"],
)  # fmt: skip
def test_no_name_reaches_outside_of_the_cache(run: CliRunner, cache: Path, name: str) -> None:
    """Nothing is removed by a name that the cache does not list."""
    outside = cache.parent / "outside"
    outside.mkdir()
    before = sorted(cache.parent.rglob("*"))
    refused = run.invoke(captionq, ["models", "remove", name, "--yes"])
    assert refused.exit_code == 1
    assert refused.stderr.startswith("Error: ")
    assert sorted(cache.parent.rglob("*")) == before


def test_what_is_not_the_cache_s_is_left_alone(run: CliRunner, cache: Path, tmp_path: Path) -> None:
    """A built-in model, a folder of the user's, and a repository that is a link to another disk."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (cache / "models--my--linked").symlink_to(elsewhere)
    for name, reason in (
        ("demo", "comes with captionq"),
        (str(elsewhere), "is a folder of yours"),
        ("my/linked", "is a link to"),
    ):
        refused = run.invoke(captionq, ["models", "remove", name, "--yes"])
        assert refused.exit_code == 1
        assert reason in refused.stderr
    assert elsewhere.exists()
    with pytest.raises(ModelNotFoundError, match="There is no model 'my/other'"):
        find_cached("my/other")


def test_the_recommendation_follows_the_memory(run: CliRunner, cache: Path) -> None:
    """The best of which eight requests fit at once; for people the marked line, with its source and the way to it."""

    def recommended(budget: str) -> list[str]:
        lines = output(run.invoke(captionq, ["models", "recommend", "--memory-budget", budget, "--format", "json"]))
        return [row["model"] for row in map(json.loads, lines.splitlines()) if row["recommended"]]

    assert recommended("48GB") == ["mlx-community/Qwen3-VL-30B-A3B-Instruct-4bit"]
    assert recommended("10.7GB") == ["mlx-community/Qwen3-VL-8B-Instruct-4bit"]
    assert recommended("5.3GB") == ["mlx-community/Qwen3-VL-2B-Instruct-4bit"]
    assert recommended("2.2GB") == ["mlx-community/Qwen3-VL-2B-Instruct-4bit"]
    assert recommended("1GB") == []
    page = output(run.invoke(captionq, ["models", "recommend", "--memory-budget", "12GB"]))
    assert "→ mlx-community/Qwen3-VL-8B-Instruct-4bit: about 5.8 GB, 16 requests at once" in page
    assert "vllm-mlx, docs/benchmarks/image.md" in page
    assert "captionq models pull mlx-community/Qwen3-VL-8B-Instruct-4bit" in page
    assert "None of them fits" in output(run.invoke(captionq, ["models", "recommend", "--memory-budget", "1GB"]))
    wrong = run.invoke(captionq, ["models", "recommend", "--memory-budget", "much"])
    assert "--memory-budget must be" in wrong.stderr

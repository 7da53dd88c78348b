"""Models before and while they are loaded: their descriptions, their places and their errors."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest

from jobs.errors import ModelError, ModelNotFoundError, ModelUnavailableError
from jobs.models.hub import hub_errors
from jobs.models.model_info import ModelInfo, built_in_models, describe, list_models
from tests.support.families import FAMILIES, save_model
from worker.models.device import free_memory
from worker.models.download import fetch
from worker.models.loader import load


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Hugging Face cache of the test's own."""
    folder = tmp_path / "hub"
    folder.mkdir()
    monkeypatch.setenv("HF_HUB_CACHE", str(folder))
    return folder


def put_into_cache(cache: Path, name: str, source: Path) -> Path:
    """Copy a model into the cache as the hub's client does. Returns its snapshot."""
    repository = cache / f"models--{name.replace('/', '--')}"
    snapshot = repository / "snapshots" / "0123abc"
    shutil.copytree(source, snapshot)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0123abc")
    return snapshot


def with_config(folder: Path, **config: Any) -> str:
    """Write a folder that holds only a config."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


def test_the_built_in_models_are_known_from_their_configs() -> None:
    """There is a model of each modality, with its context and the ids that end its answers."""
    folders = built_in_models()
    eos = frozenset({0, 2})
    assert describe("demo") == ModelInfo("demo", "vision", folders["demo"], 2048, eos)
    assert describe("demo-text") == ModelInfo("demo-text", "text", folders["demo-text"], 2048, eos)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_a_vision_model_with_a_context(family: str, tmp_path: Path) -> None:
    """The families keep the length of the context in different places of the config."""
    info = describe(str(save_model(family, tmp_path)))
    assert (info.modality, info.path, info.context_length, info.eos) == ("vision", tmp_path, 2048, frozenset({2}))


@pytest.mark.parametrize(
    ("config", "modality", "context"),
    [
        ({"model_type": "llama", "max_position_embeddings": 4096, "eos_token_id": 2}, "text", 4096),
        ({"model_type": "gpt2", "n_positions": 1024, "vision_config": None}, "text", 1024),
        ({"model_type": "llava", "image_token_index": 32000, "text_config": {}}, "vision", None),
        ({"model_type": "internvl_chat", "vision_config": {}, "llm_config": {"model_max_length": 99}}, "vision", 99),
        ({"model_type": "x", "max_position_embeddings": 9, "text_config": {"max_position_embeddings": 8}}, "text", 8),
    ],
)
def test_the_config_decides(config: dict[str, Any], modality: str, context: int | None, tmp_path: Path) -> None:
    """The folder holds only the config, and nothing is loaded."""
    info = describe(with_config(tmp_path, **config))
    assert (info.modality, info.context_length) == (modality, context)


def test_descriptions_need_neither_mlx_nor_the_hub_s_client() -> None:
    """`captionq models` answers at once."""
    code = (
        "import sys; from jobs.models.model_info import list_models; list_models()\n"
        "print([name for name in ('mlx', 'huggingface_hub') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["demoo", "./nowhere", "/nowhere", "~/nowhere", "a/b/c"])
def test_a_name_of_no_model_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is no folder, no id of the hub and not built in: the message lists the built-in models."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelNotFoundError, match="demo, demo-text"):
        describe(name)


def test_a_folder_without_a_config_is_no_model(tmp_path: Path) -> None:
    """The folder of the pictures was given instead of a model: the message names it without its path."""
    with pytest.raises(ModelNotFoundError, match=rf"^'{tmp_path.name}' .* has no config\.json") as caught:
        describe(str(tmp_path))
    assert str(tmp_path) not in caught.value.message


@pytest.mark.parametrize("content", ["{", "[1, 2]", '"text"'])
def test_a_config_that_is_not_one_is_refused(content: str, tmp_path: Path) -> None:
    """The config is cut off, or is not an object."""
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ModelError, match=r"config\.json"):
        describe(str(tmp_path))


def test_a_model_with_code_of_its_own_is_refused_before_it_runs(tmp_path: Path) -> None:
    """mlx-vlm would import the file from the model's folder."""
    name = with_config(tmp_path, model_type="qwen2_vl", model_file="evil.py", vision_config={})
    (tmp_path / "evil.py").write_text("raise SystemExit('it ran')")
    with pytest.raises(ModelError, match=r"evil\.py"):
        load(name)


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "nonsense"},
        {"model_type": "nonsense", "vision_config": {}},
        {"model_type": "qwen2_vl", "vision_config": {}},
        {},
    ],
)
def test_a_model_that_cannot_be_loaded_is_named_in_the_error(config: dict[str, Any], tmp_path: Path) -> None:
    """The type is unknown, or weights are missing; the message names the model without its path."""
    name = with_config(tmp_path / "some-model", **config)
    with pytest.raises(ModelError, match="some-model") as caught:
        load(name)
    assert not caught.value.transient
    assert str(tmp_path) not in caught.value.message


def test_a_family_that_needs_a_package_which_is_left_out_names_it(tmp_path: Path) -> None:
    """The locks leave out packages that few families import."""
    name = with_config(tmp_path / "janus", model_type="multi_modality", vision_config={})
    shutil.copy(built_in_models()["demo"] / "model.safetensors", name)
    with pytest.raises(ModelError, match="'janus' needs the Python package opencv-python"):
        load(name)


def test_weights_that_are_damaged_are_a_model_error(tmp_path: Path) -> None:
    """The file of the weights was cut off."""
    shutil.copytree(built_in_models()["demo-text"], tmp_path / "model")
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="could not be loaded") as caught:
        load(str(tmp_path / "model"))
    assert str(tmp_path) not in caught.value.message


def test_a_cached_model_is_found_without_the_network(cache: Path) -> None:
    """The model is described and loaded from its snapshot."""
    snapshot = put_into_cache(cache, "owner/small", built_in_models()["demo-text"])
    assert describe("owner/small").path == snapshot
    assert load("owner/small").eos == {0, 2}


@pytest.mark.parametrize("ask", [describe, fetch, load])
def test_without_the_network_a_missing_model_is_unavailable(ask: Any, cache: Path) -> None:
    """The error is transient, because the model may be downloaded later."""
    with pytest.raises(ModelUnavailableError, match="owner/nothing") as caught:
        ask("owner/nothing")
    assert caught.value.transient


def test_a_full_disk_is_not_blamed_on_the_network() -> None:
    """The message asks for room on the disk, and not for a network."""
    with pytest.raises(ModelUnavailableError, match=r"disk of the model cache \(HF_HOME\)"), hub_errors("owner/large"):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_cache_that_cannot_be_written_to_is_not_blamed_on_the_network() -> None:
    """The message names the variable that chooses another folder, and no path."""
    with (
        pytest.raises(ModelUnavailableError, match=r"cannot be written to\. Set HF_HUB_CACHE"),
        hub_errors("owner/any"),
    ):
        raise PermissionError(errno.EACCES, "Permission denied", "/models/models--owner--any")


def test_an_interrupted_download_is_not_taken_for_a_model(cache: Path) -> None:
    """The index names a file that is missing."""
    snapshot = put_into_cache(cache, "owner/half", built_in_models()["demo-text"])
    index = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    (snapshot / "model.safetensors.index.json").write_text(json.dumps(index))
    assert [model.name for model in list_models()] == ["demo", "demo-text"]
    with pytest.raises(ModelUnavailableError):
        describe("owner/half")


def test_the_list_has_only_usable_models(cache: Path) -> None:
    """Models without a chat template, without weights or with a broken config are left out, without an error."""
    put_into_cache(cache, "owner/vision", built_in_models()["demo"])
    put_into_cache(cache, "owner/text", built_in_models()["demo-text"])
    encoder = put_into_cache(cache, "owner/encoder", built_in_models()["demo-text"])
    for name in ("chat_template.jinja", "tokenizer_config.json"):
        (encoder / name).unlink()
    (put_into_cache(cache, "owner/config", built_in_models()["demo-text"]) / "model.safetensors").unlink()
    (put_into_cache(cache, "owner/broken", built_in_models()["demo-text"]) / "config.json").write_text("{")
    (cache / "models--somebody--empty").mkdir()
    (cache / "version.txt").write_text("1")
    assert [(model.name, model.modality) for model in list_models()] == [
        ("demo", "vision"),
        ("demo-text", "text"),
        ("owner/text", "text"),
        ("owner/vision", "vision"),
    ]


def test_an_unloaded_model_gives_its_memory_back() -> None:
    """All of its memory is free when its last reference is gone."""
    free_memory()
    before = mx.get_active_memory()
    loaded = load("demo")
    mx.eval(loaded.model.parameters())
    assert mx.get_active_memory() - before > 2_000_000
    del loaded
    free_memory()
    assert mx.get_active_memory() - before < 100_000

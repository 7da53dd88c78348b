"""What a model is before it is loaded, where it lies, and what may go wrong."""

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
from worker.models.download import fetch
from worker.models.loader import free_memory, load


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Hugging Face cache of the test's own."""
    folder = tmp_path / "hub"
    folder.mkdir()
    monkeypatch.setenv("HF_HUB_CACHE", str(folder))
    return folder


def put_into_cache(cache: Path, name: str, source: Path) -> Path:
    """Lay a model out as the hub's client does; returns its snapshot."""
    repository = cache / f"models--{name.replace('/', '--')}"
    snapshot = repository / "snapshots" / "0123abc"
    shutil.copytree(source, snapshot)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0123abc")
    return snapshot


def with_config(folder: Path, **config: Any) -> str:
    """A folder that holds a config alone."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


def test_the_built_in_models_are_known_from_their_configs() -> None:
    """One of each modality, with its context and what ends its answers."""
    folders = built_in_models()
    eos = frozenset({0, 2})
    assert describe("demo") == ModelInfo("demo", "vision", folders["demo"], 2048, eos)
    assert describe("demo-text") == ModelInfo("demo-text", "text", folders["demo-text"], 2048, eos)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_a_vision_model_with_a_context(family: str, tmp_path: Path) -> None:
    """They keep the length of their context in different places."""
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
    """Nothing but the config is there, and nothing is loaded."""
    info = describe(with_config(tmp_path, **config))
    assert (info.modality, info.context_length) == (modality, context)


def test_descriptions_need_neither_mlx_nor_the_hub_s_client() -> None:
    """`captionq models` is to answer at once."""
    code = (
        "import sys; from jobs.models.model_info import list_models; list_models()\n"
        "print([name for name in ('mlx', 'huggingface_hub') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["demoo", "./nowhere", "/nowhere", "~/nowhere", "a/b/c"])
def test_a_name_that_can_be_nothing_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No folder, no id of the hub, not built in: the message says what may be said."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelNotFoundError, match="demo, demo-text"):
        describe(name)


def test_a_folder_without_a_config_is_no_model(tmp_path: Path) -> None:
    """Somebody gave the folder of the pictures."""
    with pytest.raises(ModelNotFoundError, match=rf"^'{tmp_path.name}' .* has no config\.json") as caught:
        describe(str(tmp_path))
    assert str(tmp_path) not in caught.value.message


@pytest.mark.parametrize("content", ["{", "[1, 2]", '"text"'])
def test_a_config_that_is_none_is_refused(content: str, tmp_path: Path) -> None:
    """Cut off, or something else."""
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
def test_what_cannot_be_loaded_is_a_model_error_that_names_it(config: dict[str, Any], tmp_path: Path) -> None:
    """Unknown types, and missing weights."""
    name = with_config(tmp_path / "some-model", **config)
    with pytest.raises(ModelError, match="some-model") as caught:
        load(name)
    assert not caught.value.transient
    assert str(tmp_path) not in caught.value.message


def test_weights_that_are_damaged_are_a_model_error(tmp_path: Path) -> None:
    """The file was cut off."""
    shutil.copytree(built_in_models()["demo-text"], tmp_path / "model")
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="could not be loaded") as caught:
        load(str(tmp_path / "model"))
    assert str(tmp_path) not in caught.value.message


def test_a_cached_model_is_found_without_the_network(cache: Path) -> None:
    """Described and loaded from its snapshot."""
    snapshot = put_into_cache(cache, "somebody/small", built_in_models()["demo-text"])
    assert describe("somebody/small").path == snapshot
    assert load("somebody/small").eos == {0, 2}


@pytest.mark.parametrize("ask", [describe, fetch, load])
def test_without_the_network_a_model_that_is_not_here_is_unavailable(ask: Any, cache: Path) -> None:
    """Transient: it may be fetched later."""
    with pytest.raises(ModelUnavailableError, match="nobody/nothing") as caught:
        ask("nobody/nothing")
    assert caught.value.transient


def test_a_full_disk_is_not_blamed_on_the_network(cache: Path) -> None:
    """There is something else to do about it."""
    with pytest.raises(ModelUnavailableError, match=f"Make room on the disk of {cache}"), hub_errors("somebody/large"):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_an_interrupted_download_is_not_taken_for_a_model(cache: Path) -> None:
    """The index names a file that is not there."""
    snapshot = put_into_cache(cache, "somebody/half", built_in_models()["demo-text"])
    index = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    (snapshot / "model.safetensors.index.json").write_text(json.dumps(index))
    assert [model.name for model in list_models()] == ["demo", "demo-text"]
    with pytest.raises(ModelUnavailableError):
        describe("somebody/half")


def test_the_list_has_what_can_be_used(cache: Path) -> None:
    """Models without a chat template, without weights or with a broken config are left out, and break nothing."""
    put_into_cache(cache, "somebody/vision", built_in_models()["demo"])
    put_into_cache(cache, "somebody/text", built_in_models()["demo-text"])
    encoder = put_into_cache(cache, "somebody/encoder", built_in_models()["demo-text"])
    for name in ("chat_template.jinja", "tokenizer_config.json"):
        (encoder / name).unlink()
    (put_into_cache(cache, "somebody/config", built_in_models()["demo-text"]) / "model.safetensors").unlink()
    (put_into_cache(cache, "somebody/broken", built_in_models()["demo-text"]) / "config.json").write_text("{")
    (cache / "models--somebody--empty").mkdir()
    (cache / "version.txt").write_text("1")
    assert [(model.name, model.modality) for model in list_models()] == [
        ("demo", "vision"),
        ("demo-text", "text"),
        ("somebody/text", "text"),
        ("somebody/vision", "vision"),
    ]


def test_a_model_that_is_let_go_of_gives_its_memory_back() -> None:
    """All of it, when its last reference is gone."""
    free_memory()
    before = mx.get_active_memory()
    loaded = load("demo")
    mx.eval(loaded.model.parameters())
    assert mx.get_active_memory() - before > 2_000_000
    del loaded
    free_memory()
    assert mx.get_active_memory() - before < 100_000

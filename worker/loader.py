"""Models: what one is before it is loaded, where it lies, and loading it.

mlx and the hub's client are imported inside functions: the command line asks for descriptions alone.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from jobs.errors import ModelError, ModelNotFoundError, ModelUnavailableError
from worker.demo import demo_models

Modality = Literal["vision", "text"]

#: Where families note how many tokens their context holds.
_CONTEXT_KEYS = ("max_position_embeddings", "model_max_length", "n_positions", "max_seq_len", "seq_length")
#: Names that a config has only where there are images.
_IMAGE_KEYS = ("vision_config", "image_token_id", "image_token_index", "mm_vision_tower", "vision_tower")


@dataclass(frozen=True)
class ModelInfo:
    """What is known of a model before it is loaded."""

    name: str
    modality: Modality
    #: None: it has to be fetched first.
    path: Path | None
    #: Tokens; None: its config does not say.
    context_length: int | None = None


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory. `processor` is a tokenizer (wrapper) for text, and images as well for vision."""

    info: ModelInfo
    model: Any
    processor: Any
    config: dict[str, Any]
    #: Ids that end an answer.
    eos: frozenset[int]


def describe(name: str) -> ModelInfo:
    """What `name` is: a built-in model, a local folder, or a Hugging Face id.

    A model that is not here yet is taken for a vision model with an unknown context: its config comes with it.
    Raises ModelNotFoundError, ModelError.
    """
    path = _local_path(name)
    if path is None:
        return ModelInfo(name, "vision", None)
    config = _read_config(name, path)
    return ModelInfo(name, _modality(config), path, _context_length(config))


def fetch(name: str) -> Path:
    """Bring a Hugging Face model here, with a progress bar on the terminal. Raises ModelNotFoundError, ModelUnavailableError."""
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError
    from mlx_vlm.utils import get_model_path

    try:
        return Path(get_model_path(name))
    except GatedRepoError as error:
        raise ModelNotFoundError(
            f"'{name}' wants its licence accepted: do so on its page, then `hf auth login`."
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelNotFoundError(f"There is no model '{name}', neither as a folder nor on Hugging Face.") from error
    except (HfHubHTTPError, OSError) as error:
        raise ModelUnavailableError(
            f"'{name}' could not be fetched ({_first_line(error)}). Check the network; `captionq models` shows what is here."
        ) from error


def load(name: str) -> LoadedModel:
    """Load a model, fetching it first where it is not here. To be called on the thread that will generate. Raises ModelError."""
    info = describe(name)
    if info.path is None:
        fetch(name)
        info = describe(name)
    assert info.path is not None
    try:
        model, processor, config = _load(info)
    except Exception as error:
        raise ModelError(f"'{name}' could not be loaded: {type(error).__name__}: {_first_line(error)}") from error
    return LoadedModel(info, model, processor, config, _eos(config, processor))


def free_memory() -> None:
    """Give back what an unloaded model held. Its last reference must be gone."""
    import gc

    import mlx.core as mx

    gc.collect()
    mx.clear_cache()


def list_models() -> list[ModelInfo]:
    """The built-in models, and those of the Hugging Face cache that have a config and weights."""
    found = [describe(name) for name in demo_models()]
    for folder in sorted(cache_dir().glob("models--*")):
        name = folder.name.removeprefix("models--").replace("--", "/")
        path = _local_path(name)
        if path is not None and any(path.glob("*.safetensors")):
            found.append(describe(name))
    return found


def cache_dir() -> Path:
    """Where Hugging Face models lie: what its own client looks at, without the time its import takes."""
    if cache := os.environ.get("HF_HUB_CACHE"):
        return Path(cache).expanduser()
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "huggingface"
    return Path(home).expanduser() / "hub"


def device() -> str:
    """What mlx computes on."""
    import mlx.core as mx

    return f"mlx {version('mlx')} on {mx.default_device()}"


def _local_path(name: str) -> Path | None:
    builtin = demo_models().get(name)
    if builtin is not None:
        return builtin
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder.absolute()
    if name.startswith(("/", "~", ".")) or name.count("/") != 1:
        names = ", ".join(demo_models())
        raise ModelNotFoundError(
            f"There is no model '{name}': it is no folder, no Hugging Face id (owner/name) and not {names}."
        )
    repository = cache_dir() / f"models--{name.replace('/', '--')}"
    try:
        revision = (repository / "refs" / "main").read_text().strip()
    except FileNotFoundError:
        return None
    snapshot = repository / "snapshots" / revision
    return snapshot if (snapshot / "config.json").exists() and any(snapshot.glob("*.safetensors")) else None


def _read_config(name: str, path: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads((path / "config.json").read_text())
    except FileNotFoundError:
        raise ModelNotFoundError(f"'{name}' is no model: {path} has no config.json.") from None
    except ValueError as error:
        raise ModelError(f"'{name}' cannot be used: its config.json is no JSON ({error}).") from error
    return config


def _modality(config: dict[str, Any]) -> Modality:
    return "vision" if any(config.get(key) is not None for key in _IMAGE_KEYS) else "text"


def _context_length(config: dict[str, Any]) -> int | None:
    for part in (config.get("text_config") or {}, config.get("llm_config") or {}, config):
        for key in _CONTEXT_KEYS:
            if isinstance(part.get(key), int):
                return int(part[key])
    return None


def _load(info: ModelInfo) -> tuple[Any, Any, dict[str, Any]]:
    if info.modality == "vision":
        from mlx_vlm import load as load_vision
        from mlx_vlm.utils import load_config

        model, processor = load_vision(str(info.path))
        return model, processor, load_config(info.path)
    from mlx_lm.utils import load as load_text

    model, tokenizer, config = load_text(str(info.path), return_config=True)
    return model, tokenizer, config


def _eos(config: dict[str, Any], processor: Any) -> frozenset[int]:
    tokenizer = getattr(processor, "tokenizer", processor)
    criteria = getattr(tokenizer, "stopping_criteria", None)
    sources = [
        config.get("eos_token_id"),
        (config.get("text_config") or {}).get("eos_token_id"),
        getattr(criteria, "eos_token_ids", None),
        getattr(tokenizer, "eos_token_ids", None),
        getattr(tokenizer, "eos_token_id", None),
    ]
    ids: set[int] = set()
    for source in sources:
        ids.update([source] if isinstance(source, int) else (source or []))
    return frozenset(ids)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]

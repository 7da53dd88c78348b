"""A model before it is loaded, as its `config.json` describes it: name, folder, modality, context and end tokens."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from jobs.configuration.settings import DEFAULT_MODEL
from jobs.disk.local_folders import local_folder
from jobs.errors import ImagesNotSupportedError, ModelError, ModelNotFoundError, first_line
from jobs.models.adapters import adapter_folder, shown_name, split_name, with_adapter
from jobs.models.hub import cached_names, cached_snapshot, fetch_config

Modality = Literal["vision", "text"]

#: The folder of the built-in models. They are files, not a module: all floors are installed side by side.
_BUILT_IN = Path(__file__).parent / "built_in"
#: Keys under which families note how many tokens their context holds.
_CONTEXT_KEYS = ("max_position_embeddings", "model_max_length", "n_positions", "max_seq_len", "seq_length")
#: Weights that stand in a repository a second time, in a layout that no library here reads: Mistral's own have both.
TWINS = "consolidated*.safetensors"
#: Keys that only configs of vision models have.
_IMAGE_KEYS = (
    "vision_config",
    "image_token_id",
    "image_token_index",
    "mm_vision_tower",
    "vision_tower",
    "img_processor",
    "thinker_config",
)
#: Keys under which a vision model's config describes its language model.
_TEXT_PARTS = ("text_config", "llm_config", "language_config")


@dataclass(frozen=True)
class ModelInfo:
    """A model's description before it is loaded."""

    name: str
    modality: Modality
    #: None: the model, or its adapter, has to be downloaded first.
    path: Path | None
    #: In tokens; None: the config does not say.
    context_length: int | None = None
    #: Ids that end an answer, by the config; the tokenizer may know more.
    eos: frozenset[int] = frozenset()
    #: The folder of the model's adapter; None: it has none.
    adapter: Path | None = None

    @property
    def folders(self) -> list[Path]:
        """The folders that hold the weights, if the model is here."""
        return [folder for folder in (self.path, self.adapter) if folder is not None] if self.path is not None else []


#: The model that answers at once and knows nothing, for benchmarks and tests. No list shows it.
STUB = "stub"


def public_name(name: str) -> str:
    """Return the name of a model for clients and errors: of a local folder only the name, for its path says too much."""
    model, adapter = split_name(name)
    return with_adapter(shown_name(model), None if adapter is None else shown_name(adapter))


def built_in_models() -> dict[str, Path]:
    """Return the folders of the models that come with captionq, by name."""
    return {name: _BUILT_IN / name for name in ("demo", "demo-text")}


def is_built_in(name: str) -> bool:
    """Return whether a model comes with captionq, with an adapter or without."""
    return split_name(name)[0] in built_in_models()


def describe(name: str) -> ModelInfo:
    """Describe a built-in model, a local folder, or a Hugging Face id, each perhaps with an adapter.

    Only the config is downloaded if the model is not here. Raises ModelError, or a subclass that names the reason.
    """
    model, adapter = split_name(name)
    path, folder = _local_path(model), None if adapter is None else adapter_folder(adapter)
    config = _read_config(model, fetch_config(model) if path is None else path)
    if "model_file" in config:
        # mlx-vlm would import the file, from any author.
        raise ModelError(
            f"'{public_name(model)}' needs its own program code ({config['model_file']}), which captionq does not run."
        )
    here = path if adapter is None or folder is not None else None
    return ModelInfo(name, _modality(config), here, _context_length(config), _config_eos(config), folder)


def revision_of(name: str) -> str | None:
    """Return the commit of a model in the Hugging Face cache; None: the model has no revision, or is not here."""
    try:
        path = _local_path(split_name(name)[0])
    except ModelError:
        return None
    return path.name if path is not None and path.parent.name == "snapshots" else None


def is_here(name: str) -> bool:
    """Check whether this model, with its adapter, can be described and loaded without the network."""
    model, adapter = split_name(name)
    try:
        return _local_path(model) is not None and (adapter is None or adapter_folder(adapter) is not None)
    except ModelError:
        return False


def missing_parts(name: str) -> list[str]:
    """Return the Hugging Face ids of a model and its adapter, without those on this machine. Raises ModelNotFoundError."""
    model, adapter = split_name(name)
    missing = [model] if _local_path(model) is None else []
    return missing if adapter is None or adapter_folder(adapter) is not None else [*missing, adapter]


def check_sees(info: ModelInfo) -> None:
    """Check that a model can look at images. Raises ImagesNotSupportedError."""
    if info.modality == "text":
        raise ImagesNotSupportedError(
            f"'{public_name(info.name)}' is a text-only model and cannot look at images. Use a vision model, such as "
            f"'{DEFAULT_MODEL}'; `captionq models` lists the models on this machine."
        )


def list_models() -> list[ModelInfo]:
    """List the built-in models, and the models of the Hugging Face cache that are complete and have a chat template."""
    cached = [info for name in cached_names() if (info := _usable(name)) is not None]
    return [describe(name) for name in built_in_models()] + cached


def weights_size(*folders: Path) -> int:
    """Return the bytes of the weights of a model, and of its adapter, on the disk as in memory."""
    return sum(file.stat().st_size for folder in folders for file in _weight_files(folder))


def _local_path(name: str) -> Path | None:
    builtin = _BUILT_IN / STUB if name == STUB else built_in_models().get(name)
    if builtin is not None:
        return builtin
    folder = local_folder(name)
    if folder is not None:
        return folder
    if name.startswith(("/", "~", ".")) or name.count("/") != 1:
        names = ", ".join(built_in_models())
        shown = public_name(name) if name.startswith("/") else name
        raise ModelNotFoundError(
            f"There is no model '{shown}'. It is neither a folder, a Hugging Face id (owner/name), "
            f"nor a built-in model ({names})."
        )
    snapshot = cached_snapshot(name)
    if snapshot is None or not (snapshot / "config.json").exists():
        return None
    return snapshot if _has_weights(snapshot) else None


def _has_weights(folder: Path) -> bool:
    """Check whether all files of weights exist: a download may have been interrupted."""
    try:
        index = json.loads((folder / "model.safetensors.index.json").read_text())
        return all((folder / name).exists() for name in set(index["weight_map"].values()))
    except FileNotFoundError:
        return bool(_weight_files(folder))
    except (ValueError, KeyError, TypeError, AttributeError):
        return False


def _weight_files(folder: Path) -> list[Path]:
    return [file for file in folder.glob("*.safetensors") if not file.match(TWINS)]


def _usable(name: str) -> ModelInfo | None:
    try:
        path = _local_path(name)
        return describe(name) if path is not None and _has_chat_template(path) else None
    except ModelError:
        # The cache also holds the files of other programs: datasets' encoders, speech models, broken models.
        return None


def _has_chat_template(folder: Path) -> bool:
    if any((folder / name).exists() for name in ("chat_template.jinja", "chat_template.json")):
        return True
    try:
        return "chat_template" in json.loads((folder / "tokenizer_config.json").read_text())
    except (OSError, ValueError):
        return False


def _read_config(name: str, path: Path) -> dict[str, Any]:
    try:
        config = json.loads((path / "config.json").read_text())
    except FileNotFoundError:
        raise ModelNotFoundError(f"'{public_name(name)}' is not a model: it has no config.json.") from None
    except (OSError, ValueError) as error:
        reason = first_line(error)
        raise ModelError(f"'{public_name(name)}' cannot be used: its config.json cannot be read ({reason}).") from error
    if not isinstance(config, dict):
        raise ModelError(f"'{public_name(name)}' cannot be used: its config.json is not a JSON object.")
    return config


def _modality(config: dict[str, Any]) -> Modality:
    return "vision" if any(config.get(key) is not None for key in _IMAGE_KEYS) else "text"


def _context_length(config: dict[str, Any]) -> int | None:
    for part in config_parts(config):
        for key in _CONTEXT_KEYS:
            if isinstance(part.get(key), int) and part[key] > 0:
                return int(part[key])
    return None


def _config_eos(config: dict[str, Any]) -> frozenset[int]:
    return ids_of(*(part.get("eos_token_id") for part in config_parts(config)))


def config_parts(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the part of a vision model's config that describes its language model, then the whole config."""
    return [part for key in _TEXT_PARTS if isinstance(part := config.get(key), dict)] + [config]


def ids_of(*sources: int | Iterable[int] | None) -> frozenset[int]:
    """Collect token ids from sources that hold one id, several or none."""
    ids: set[int] = set()
    for source in sources:
        ids.update([source] if isinstance(source, int) else (source or []))
    return frozenset(ids)

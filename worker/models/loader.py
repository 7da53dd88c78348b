"""Loading of a model, downloaded first if necessary. mlx is imported inside functions only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.errors import AdapterError, ModelError, ModelUnavailableError, first_line
from jobs.errors.install_commands import command_for_package
from jobs.models.hub import cache_dir
from jobs.models.model_info import Modality, ModelInfo, config_parts, describe, ids_of, public_name
from worker.models.adapter import put_on
from worker.models.download import fetch
from worker.models.library_quirks import mend_model, mend_processor

#: Packages that the locks leave out (requirements/unused.in) and that a few families import, by the names of their modules.
_LEFT_OUT = {"cv2": "opencv-python", "mlx_audio": "mlx-audio"}


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory. `processor` is a tokenizer (or a wrapper of it); for vision it takes images also."""

    info: ModelInfo
    model: Any
    processor: Any
    config: dict[str, Any]
    #: Ids that end an answer.
    eos: frozenset[int]


def load(name: str) -> LoadedModel:
    """Load a model, downloaded first if necessary. To be called on the thread that will generate.

    Raises:
        ModelNotFoundError: There is no such model, or the hub refuses access to it.
        ModelUnavailableError: It cannot be downloaded now, or there is not enough memory.
        AdapterError: Its adapter does not fit.
        ModelError: Its files cannot be loaded.
    """
    info = describe(name)
    if info.path is None:
        fetch(name)
        info = describe(name)
    if info.path is None:
        raise ModelError(f"'{public_name(name)}' has no weights in the safetensors format. Use a version made for mlx.")
    try:
        model, processor, config = _load(info.path, info.modality)
        if info.adapter is not None:
            put_on(model, info.adapter, info.modality, name)
        _suit_device(model)
    except AdapterError:
        raise
    except Exception as error:
        raise loading_failed(name, error) from error
    return LoadedModel(info, model, processor, config, info.eos | _tokenizer_eos(processor))


def loading_failed(name: str, error: Exception) -> ModelError:
    """Turn an error between a model's files and its first answer into a ModelError that names the model."""
    # API clients see the message: it must not contain the folder of the model.
    shown = public_name(name)
    if isinstance(error, ModuleNotFoundError) and error.name in _LEFT_OUT:
        package = _LEFT_OUT[error.name]
        return ModelError(
            f"'{shown}' needs the Python package {package}. Install it beside captionq: " + command_for_package(package)
        )
    said = (
        first_line(error).replace(str(Path(name).expanduser().absolute()), shown).replace(str(cache_dir()), "the cache")
    )
    reason = f"'{shown}' could not be loaded: {type(error).__name__}: {said}"
    if isinstance(error, MemoryError) or "alloc" in str(error):
        return ModelUnavailableError(f"{reason}. Close other programs, or use a smaller model.")
    return ModelError(f"{reason}. Is it a vision or chat model that mlx supports, and complete?")


def vocabulary_of(loaded: LoadedModel) -> int | None:
    """Return the width of the logits, often more than the tokenizer has tokens; None: unknown.

    The model itself comes before config.json, which may leave the width to the library's default (Google's Gemma 3 does).
    """
    known = getattr(loaded.model, "config", None) or getattr(loaded.model, "args", None)
    sizes = [getattr(source, "vocab_size", None) for source in (getattr(known, "text_config", None), known)]
    sizes += [part.get("vocab_size") for part in config_parts(loaded.config)]
    return next((size for size in sizes if isinstance(size, int) and size > 0), None)


def _suit_device(model: Any) -> None:
    # Imported here, like all of mlx: most commands that ask about models never load one.
    from worker.models.device import suit_device

    suit_device(model)


def _tokenizer_eos(processor: Any) -> frozenset[int]:
    tokenizer = getattr(processor, "tokenizer", processor)
    criteria = getattr(tokenizer, "stopping_criteria", None)
    return ids_of(
        getattr(criteria, "eos_token_ids", None),
        getattr(tokenizer, "eos_token_ids", None),
        getattr(tokenizer, "eos_token_id", None),
    )


def _load(path: Path, modality: Modality) -> tuple[Any, Any, dict[str, Any]]:
    if modality == "vision":
        from mlx_vlm import load as load_vision
        from mlx_vlm.utils import load_config

        # Refused explicitly: without an answer the library asks in the terminal whether to run a model's code.
        model, processor = load_vision(str(path), trust_remote_code=False)
        mend_model(model)
        mend_processor(processor)
        return model, processor, load_config(path)
    from mlx_lm.utils import load as load_text

    model, tokenizer, config = load_text(str(path), return_config=True)
    return model, tokenizer, config

"""The models of this server as Ollama lists them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from api.dialects.ollama.answers import time_words
from api.dialects.ollama.translation import tagged
from api.schemas.dialects.ollama_answers import (
    OllamaDetails,
    OllamaLoadedModel,
    OllamaModel,
    OllamaModelCard,
)
from jobs.models.model_info import ModelInfo, revision_of, weights_size

#: The end of a model's time in memory while it has jobs, or if it stays until another model needs the room.
_STAYS = "9999-12-31T23:59:59Z"
#: Names of number types in a config → Ollama's words for weights that are not quantized.
_TYPES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}


def listed(name: str, info: ModelInfo) -> OllamaModel:
    """Return a model's entry in the list; `name`: its public name."""
    return OllamaModel.model_validate(_entry(name, info))


def in_memory(name: str, info: ModelInfo, unloads_at: float | None) -> OllamaLoadedModel:
    """Return the entry of a model that is loaded. `unloads_at`: when it leaves memory; None: it has jobs, or stays."""
    entry, expires = _entry(name, info), _STAYS if unloads_at is None else time_words(unloads_at)
    return OllamaLoadedModel.model_validate(
        {**entry, "expires_at": expires, "size_vram": entry["size"], "context_length": info.context_length or 0}
    )


def card(info: ModelInfo) -> OllamaModelCard:
    """Return the description of one model."""
    config = _config(info)
    family = _family(config)
    known = {} if info.context_length is None else {f"{family}.context_length": info.context_length}
    return OllamaModelCard(
        modified_at=_modified_at(info),
        details=_details(config),
        model_info={"general.architecture": family, **known},
        capabilities=["completion", "tools", *(["vision"] if info.modality == "vision" else [])],
    )


def _entry(name: str, info: ModelInfo) -> dict[str, Any]:
    return {
        "name": tagged(name),
        "model": tagged(name),
        "modified_at": _modified_at(info),
        "size": 0 if info.path is None else weights_size(info.path),
        "digest": hashlib.sha256(f"{name}\0{revision_of(info.name)}".encode(errors="replace")).hexdigest(),
        "details": _details(_config(info)),
    }


def _modified_at(info: ModelInfo) -> str:
    return time_words(0.0 if info.path is None else info.path.stat().st_mtime)


def _config(info: ModelInfo) -> dict[str, Any]:
    """Return the model's config, which has been read before to describe it; empty if the model is not here."""
    found: dict[str, Any] = {} if info.path is None else json.loads((info.path / "config.json").read_text())
    return found


def _details(config: dict[str, Any]) -> OllamaDetails:
    family = _family(config)
    return OllamaDetails(family=family, families=[family], quantization_level=_quantization(config))


def _family(config: dict[str, Any]) -> str:
    return str(config.get("model_type") or "unknown")


def _quantization(config: dict[str, Any]) -> str:
    quantization = config.get("quantization")
    if isinstance(quantization, dict) and isinstance(bits := quantization.get("bits"), int):
        return f"Q{bits}"
    return _TYPES.get(str(config.get("dtype") or config.get("torch_dtype")), "")

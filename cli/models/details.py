"""All that is known about one model without loading it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.models.machine import memory_limit
from jobs.configuration.settings import Settings
from jobs.models.adapters import split_name
from jobs.models.batching_verdicts import BatchingVerdict, model_key, read_verdicts
from jobs.models.hub import cached_snapshot
from jobs.models.memory_need import kv_bytes, sequences_that_fit
from jobs.models.model_card import licence_in
from jobs.models.model_info import ModelInfo, is_built_in, revision_of, weights_size
from jobs.models.pixel_limits import PixelLimits, pixel_limits
from jobs.models.thinking_switches import can_think

#: captionq's own licence, of the built-in models too.
_OWN_LICENCE = "mit"


@dataclass(frozen=True)
class ModelDetails:
    """A model's description, its files, and what they mean on this machine. None: unknown."""

    info: ModelInfo
    #: The family, by the config.
    family: str | None
    #: Bytes of the weights; None: the model is not here.
    weights: int | None
    #: Bits of a quantized weight; None: the weights are not quantized.
    bits: int | None
    licence: str | None
    revision: str | None
    #: Bytes of keys and values a token.
    token_bytes: int | None
    #: Bytes that models may use on this machine.
    limit: int | None
    verdict: BatchingVerdict | None
    #: Whether thinking can be switched on; None: the model is not here.
    thinks: bool | None
    pixels: PixelLimits

    @property
    def sequences(self) -> int | None:
        """How many sequences fit beside the weights; 0: the model does not fit."""
        if self.weights is None or self.limit is None or self.token_bytes is None:
            return None
        return sequences_that_fit(self.weights, self.token_bytes, self.limit)


def details_of(info: ModelInfo, settings: Settings, verdicts: dict[str, BatchingVerdict] | None = None) -> ModelDetails:
    """Collect the details of a model that `describe` or `list_models` has described."""
    folder = info.path or cached_snapshot(split_name(info.name)[0])
    config = _config_in(folder)
    quantization = config.get("quantization") or config.get("quantization_config")
    verdicts = read_verdicts(settings) if verdicts is None else verdicts
    return ModelDetails(
        info=info,
        family=_text(config.get("model_type")),
        weights=weights_size(*info.folders) if info.path else None,
        bits=quantization.get("bits") if isinstance(quantization, dict) else None,
        licence=_OWN_LICENCE if is_built_in(info.name) else licence_in(folder) if folder else None,
        revision=revision_of(info.name),
        token_bytes=kv_bytes(config),
        limit=memory_limit(settings),
        verdict=verdicts.get(model_key(settings, *info.folders)) if info.path else None,
        thinks=can_think(info) if info.path else None,
        pixels=pixel_limits(folder) if folder else PixelLimits(),
    )


def _config_in(folder: Path | None) -> dict[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_text()) if folder else {}
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None

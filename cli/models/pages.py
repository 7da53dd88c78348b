"""Models as lines and pages for people, and as objects for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.filesize import decimal

from cli.models.details import ModelDetails
from jobs.configuration.settings import Settings
from jobs.models.batching_verdicts import BatchingVerdict
from jobs.models.memory_need import USUAL_TOKENS
from jobs.models.pixel_limits import PixelLimits


def row_of(model: ModelDetails, settings: Settings) -> dict[str, Any]:
    """Return a model as an object for programs."""
    verdict = model.verdict
    return {
        "model": model.info.name,
        "modality": model.info.modality,
        "batching": verdict.batching if verdict else None,
        "one_image": verdict.one_image if verdict else None,
        "bytes": model.weights,
        "path": str(model.info.path) if model.info.path else None,
        "family": model.family,
        "licence": model.licence,
        "revision": model.revision,
        "bits": model.bits,
        "context": model.info.context_length,
        "thinking": model.thinks,
        "memory_limit": model.limit,
        "bytes_per_token": model.token_bytes,
        "sequences": None if model.sequences is None else min(model.sequences, settings.slots),
        "max_pixels": settings.max_pixels,
        "processor_pixels": [model.pixels.least, model.pixels.most],
    }


def table(models: Sequence[ModelDetails], settings: Settings) -> list[str]:
    """Return the lines of a list of models."""
    width = max(len(model.info.name) for model in models)
    lines = [f"{'MODEL':<{width}}  KIND    {'SIZE':>8}  {'MEMORY':<11}  {'BATCHING':<19}  FOLDER"]
    for model in models:
        size = decimal(model.weights) if model.weights else ""
        lines.append(
            f"{model.info.name:<{width}}  {model.info.modality:<6}  {size:>8}  {_fit(model, settings):<11}  "
            f"{_batching(model.verdict):<19}  {model.info.path}"
        )
    return lines


def page(model: ModelDetails, settings: Settings, download: int | None) -> list[str]:
    """Return the lines of one model. `download`: the bytes that are missing; None: the model is here."""
    info = model.info
    size = decimal(model.weights) if model.weights else f"{decimal(download or 0)} to download"
    facts = {
        "kind": f"{info.modality}, {model.family or 'unknown family'}",
        "size": size + (f", weights of {model.bits} bits" if model.bits else ""),
        "memory": _memory(model, settings),
        "batching": _batching(model.verdict) + (model.verdict.explained if model.verdict else ""),
        "thinking": {None: "known after the download", True: "off; requests can switch it on", False: "no switch"}[
            model.thinks
        ],
        "pixels": _pixels(model.pixels, settings) if info.modality == "vision" else "sees no images",
        "context": f"{info.context_length:,} tokens" if info.context_length else "unknown",
        "licence": model.licence or "not named on this machine; see the model's page",
        "revision": model.revision or "none",
        "folder": str(info.path) if info.path else "not here yet",
    }
    return [info.name, *(f"  {name:<9} {fact}" for name, fact in facts.items())]


def _fit(model: ModelDetails, settings: Settings) -> str:
    if model.sequences is None:
        return "unknown"
    return f"{min(model.sequences, settings.slots)} at once" if model.sequences else "too large"


def _memory(model: ModelDetails, settings: Settings) -> str:
    limit = "unknown" if model.limit is None else decimal(model.limit)
    if model.sequences is None or model.token_bytes is None:
        return f"models may use {limit} here"
    if model.sequences == 0:
        return f"too large: models may use {limit} here. captionq models recommend names one that fits"
    each = decimal(model.token_bytes * USUAL_TOKENS)
    fit = min(model.sequences, settings.slots)
    return f"{fit} sequences at once (CAPTIONQ_SLOTS: {settings.slots}), up to {each} each, of {limit} for models here"


def _batching(verdict: BatchingVerdict | None) -> str:
    if verdict is None:
        return "not tried"
    return f"{verdict.batching}, 1 image" if verdict.one_image else str(verdict.batching)


def _pixels(limits: PixelLimits, settings: Settings) -> str:
    budget = f"up to {settings.max_pixels:,} (CAPTIONQ_MAX_PIXELS)"
    if limits.least is not None and limits.least == limits.most:
        return f"always {limits.most:,}"
    if limits.most is None:
        return budget
    return f"{budget}; its processor takes {limits.least or 0:,} to {limits.most:,}"

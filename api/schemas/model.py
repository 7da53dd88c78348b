"""Models on the wire."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from jobs.configuration.settings import Settings
from jobs.models.batching_verdicts import model_key, read_verdicts
from jobs.models.model_info import Modality, ModelInfo


class Model(BaseModel):
    """OpenAI's `model`, and its abilities."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    modality: Modality = Field(description="vision models accept images; text models refuse them")
    context_length: int | None
    batching: str | None = Field(
        description="How the model's requests are batched: together, one by one, alone or refused; null: not yet measured"
    )


class ModelList(BaseModel):
    """All models of the server."""

    object: Literal["list"] = "list"
    data: list[Model]


def model_object(name: str, info: ModelInfo, settings: Settings) -> Model:
    """Return the public object of a model; `name`: its public name."""
    verdict = read_verdicts(settings).get(model_key(settings, *info.folders)) if info.path is not None else None
    created = int(info.path.stat().st_mtime) if info.path is not None else 0
    owner = name.split("/", maxsplit=1)[0] if "/" in name else "captionq"
    return Model(
        id=name,
        created=created,
        owned_by=owner,
        modality=info.modality,
        context_length=info.context_length,
        batching=None if verdict is None else verdict.batching,
    )

"""Models in the shape of LM Studio's REST API, version 0."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from jobs.models.model_info import ModelInfo


class LMStudioModel(BaseModel):
    """LM Studio's `model`."""

    id: str
    object: Literal["model"] = "model"
    type: Literal["vlm", "llm"] = Field(description="vlm: the model accepts images")
    publisher: str
    compatibility_type: Literal["mlx"] = "mlx"
    state: Literal["loaded", "not-loaded"]
    max_context_length: int | None


class LMStudioModelList(BaseModel):
    """All models of the server."""

    object: Literal["list"] = "list"
    data: list[LMStudioModel]


def lm_studio_model(name: str, info: ModelInfo, *, loaded: bool) -> LMStudioModel:
    """Return a model as LM Studio describes it; `name`: its public name."""
    return LMStudioModel(
        id=name,
        type="vlm" if info.modality == "vision" else "llm",
        publisher=name.split("/", maxsplit=1)[0] if "/" in name else "captionq",
        state="loaded" if loaded else "not-loaded",
        max_context_length=info.context_length,
    )

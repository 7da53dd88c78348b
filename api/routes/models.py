"""`GET /v1/models`: what may be asked for."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from api.errors.body import ErrorBody
from api.errors.translation import not_found
from api.middleware.api_keys import CallerDep
from api.runtime.dependencies import ResourcesDep
from api.runtime.resources import Resources
from jobs.models.batching_verdicts import key_of, read_verdicts
from jobs.models.model_info import Modality, ModelInfo

router = APIRouter(tags=["models"])


class Model(BaseModel):
    """OpenAI's `model`, and what it can do."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    #: `vision` models look at images, `text` models refuse them.
    modality: Modality
    context_length: int | None
    #: How its requests can be batched, where that has been found out: `together`, `one by one`, `alone`, or `refused`.
    batching: str | None


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Model]


@router.get("/v1/models", response_model=ModelList)
def list_models(resources: ResourcesDep, caller: CallerDep) -> ModelList:
    """The models that are here, the default one first."""
    models = resources.catalogue.models()
    return ModelList(data=[_model(name, info, resources) for name, info in models.items()])


@router.get(
    "/v1/models/{model:path}",
    response_model=Model,
    responses={404: {"model": ErrorBody, "description": "No such model"}},
)
def get_model(model: str, resources: ResourcesDep, caller: CallerDep) -> Model:
    """One of them."""
    info = resources.catalogue.models().get(model)
    if info is None:
        raise not_found("model", model)
    return _model(model, info, resources)


def _model(name: str, info: ModelInfo, resources: Resources) -> Model:
    verdict = read_verdicts(resources.settings).get(key_of(info.path)) if info.path is not None else None
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

"""`GET /v1/models`: the models that clients may ask for."""

from __future__ import annotations

from fastapi import APIRouter

from api.errors.body import ErrorBody
from api.errors.translation import not_found
from api.middleware.api_keys import CallerDep
from api.runtime.dependencies import ResourcesDep
from api.schemas.model import Model, ModelList, model_object

router = APIRouter(tags=["models"])


@router.get("/v1/models", response_model=ModelList, response_description="The models")
def list_models(resources: ResourcesDep, caller: CallerDep) -> ModelList:
    """List the models of this server, the default model first."""
    models = resources.catalogue.models()
    return ModelList(data=[model_object(name, info, resources.settings) for name, info in models.items()])


@router.get(
    "/v1/models/{model:path}",
    response_model=Model,
    response_description="The model",
    responses={404: {"model": ErrorBody, "description": "No such model"}},
)
def get_model(model: str, resources: ResourcesDep, caller: CallerDep) -> Model:
    """Get a model by its name."""
    info = resources.catalogue.models().get(model)
    if info is None:
        raise not_found("model", model)
    return model_object(model, info, resources.settings)

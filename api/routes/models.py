"""`GET /v1/models`, also as LM Studio's `GET /api/v0/models`: the models that clients may ask for."""

from __future__ import annotations

from fastapi import APIRouter

from api.errors.body import ErrorBody
from api.errors.translation import not_found
from api.middleware.api_keys import CallerDep
from api.runtime.dependencies import ResourcesDep
from api.schemas.model import LMStudioModelList, Model, ModelList, lm_studio_model, model_object
from jobs.models.model_info import public_name

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


@router.get("/api/v0/models", response_model=LMStudioModelList, response_description="The models")
def list_models_as_lm_studio(resources: ResourcesDep, caller: CallerDep) -> LMStudioModelList:
    """List the models in LM Studio's words, for programs that tell by this route whether it runs."""
    loaded = {public_name(worker.model) for worker in resources.workers() if worker.model is not None}
    models = resources.catalogue.models()
    return LMStudioModelList(
        data=[lm_studio_model(name, info, is_loaded=name in loaded) for name, info in models.items()]
    )

"""`/api/v0/models`: the models in LM Studio's shape, for programs that look for its server."""

from __future__ import annotations

from fastapi import APIRouter
from redis.exceptions import RedisError

from api.errors.body import ErrorBody
from api.errors.translation import not_found
from api.middleware.api_keys import CallerDep
from api.runtime.dependencies import ResourcesDep
from api.runtime.resources import Resources
from api.schemas.lm_studio import LMStudioModel, LMStudioModelList, lm_studio_model
from jobs.models.model_info import public_name

router = APIRouter(tags=["models"])


@router.get("/api/v0/models", response_model=LMStudioModelList, response_description="The models")
def list_lm_studio_models(resources: ResourcesDep, caller: CallerDep) -> LMStudioModelList:
    """List the models as LM Studio does: with their type, and which of them is loaded."""
    loaded = _loaded(resources)
    models = resources.catalogue.models()
    return LMStudioModelList(data=[lm_studio_model(name, info, loaded=name in loaded) for name, info in models.items()])


@router.get(
    "/api/v0/models/{model:path}",
    response_model=LMStudioModel,
    response_description="The model",
    responses={404: {"model": ErrorBody, "description": "No such model"}},
)
def get_lm_studio_model(model: str, resources: ResourcesDep, caller: CallerDep) -> LMStudioModel:
    """Get a model by its name, as LM Studio does."""
    info = resources.catalogue.models().get(model)
    if info is None:
        raise not_found("model", model)
    return lm_studio_model(model, info, loaded=model in _loaded(resources))


def _loaded(resources: Resources) -> set[str]:
    """Return the names of the workers' models. Without the broker none is known."""
    try:
        return {public_name(state.model) for state in resources.workers() if state.model is not None}
    except RedisError:
        return set()

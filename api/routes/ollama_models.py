"""`/api/tags`, `/api/show`, `/api/ps`, `/api/version` and `/api/pull`: the questions of Ollama's clients about models."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from api.dialects.ollama.answers import NDJSON, line
from api.dialects.ollama.models import card, in_memory, listed
from api.dialects.ollama.pulling import BEGIN, SUCCESS, pulled
from api.dialects.ollama.translation import model_name
from api.intake.ignored_parameters import DESCRIBED, check_ignored
from api.intake.json_body import JSONRoute
from api.middleware.api_keys import CallerDep, check_admin
from api.routes.ollama import OLLAMA_ERRORS
from api.runtime.dependencies import ResourcesDep
from api.schemas.dialects.ollama import OllamaModelName
from api.schemas.dialects.ollama_answers import (
    OllamaError,
    OllamaLoadedList,
    OllamaModelCard,
    OllamaModelList,
    OllamaStatus,
    OllamaVersion,
)
from jobs.errors import NotFoundError
from jobs.models.model_info import public_name
from jobs.models.pull_names import check_pull_name
from jobs.queue.downloads.wishes import wish

#: The version of Ollama whose API this server has. Clients ask for it before they use newer features.
API_VERSION = "0.12.6"

router = APIRouter(tags=["ollama"], route_class=JSONRoute, responses=OLLAMA_ERRORS)


@router.get("/api/tags", response_model=OllamaModelList, response_description="The models")
def ollama_tags(resources: ResourcesDep, caller: CallerDep) -> OllamaModelList:
    """List the models of this server, the default model first."""
    return OllamaModelList(models=[listed(name, info) for name, info in resources.catalogue.models().items()])


@router.post(
    "/api/show",
    response_model=OllamaModelCard,
    response_description="The model",
    responses={200: {"headers": DESCRIBED}},
)
def ollama_show(body: OllamaModelName, request: Request, resources: ResourcesDep, caller: CallerDep) -> OllamaModelCard:
    """Describe a model."""
    check_ignored(body, request, resources.settings)
    return card(resources.catalogue.resolve(model_name(body)))


@router.get("/api/ps", response_model=OllamaLoadedList, response_description="The models in memory")
def ollama_ps(resources: ResourcesDep, caller: CallerDep) -> OllamaLoadedList:
    """List the models that the workers have in memory."""
    models = resources.catalogue.models()
    workers = resources.workers()
    loaded = {public_name(one.model): one.unloads_at for one in workers if one.model is not None}
    return OllamaLoadedList(
        models=[in_memory(name, info, loaded[name]) for name, info in models.items() if name in loaded]
    )


@router.get("/api/version", response_model=OllamaVersion, response_description="The version")
async def ollama_version(caller: CallerDep) -> OllamaVersion:
    """Get the version of Ollama whose API this is."""
    return OllamaVersion(version=API_VERSION)


@router.post(
    "/api/pull",
    response_model=OllamaStatus,
    response_description="The model is here; unless `stream` is false, a line of JSON for each step",
    responses={
        200: {"content": {NDJSON: {}}, "headers": DESCRIBED},
        429: {"model": OllamaError, "description": "Too many downloads or streams are open"},
    },
)
async def ollama_pull(body: OllamaModelName, request: Request, resources: ResourcesDep, caller: CallerDep) -> Response:
    """Confirm that a model is here, or let a worker download it, which needs the admin right.

    The download goes on if the client leaves; a repeated request joins it.
    """
    check_ignored(body, request, resources.settings)
    name, stream = model_name(body) or public_name(resources.settings.model), body.stream is not False
    models = await run_in_threadpool(resources.catalogue.models)
    if name in models and models[name].path is not None:
        if not stream:
            return Response(line(SUCCESS), media_type="application/json")
        return Response(line(BEGIN) + line(SUCCESS), media_type=NDJSON)
    check_admin(caller, resources.settings)
    check_pull_name(name)
    download = await run_in_threadpool(wish, resources.connection, name)
    return await pulled(download, resources, request, stream=stream)


@router.post("/api/embed", include_in_schema=False)
@router.post("/api/embeddings", include_in_schema=False)
async def ollama_embed(caller: CallerDep) -> Response:
    """Refuse embeddings."""
    raise NotFoundError("captionq makes no embeddings: its models answer in text. Use another server for them.")


@router.api_route("/api/tags", methods=["HEAD"], include_in_schema=False)
@router.api_route("/api/version", methods=["HEAD"], include_in_schema=False)
async def ollama_probe(caller: CallerDep) -> Response:
    """Tell a program that only looks whether the route exists that it does."""
    return Response()

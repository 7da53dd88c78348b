"""`/healthz`, also as `/health`, and `/readyz`: health checks for monitoring, without a key."""

from __future__ import annotations

import logging
from collections.abc import Callable

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from api.runtime.dependencies import ResourcesDep
from api.schemas.health import Alive, Readiness, WorkerReady
from jobs.models.model_info import is_here, public_name

logger = logging.getLogger("captionq.api")
router = APIRouter(tags=["health"])


@router.get("/health", response_model=Alive, response_description="The process lives", summary="Check liveness")
@router.get("/healthz", response_model=Alive, response_description="The process lives", summary="Check liveness")
async def healthz() -> Alive:
    """Check that the process lives."""
    # On the event loop, so that the answer comes also when all threads are busy.
    return Alive()


@router.api_route("/", methods=["GET", "HEAD"], response_class=PlainTextResponse, include_in_schema=False)
async def root(request: Request) -> str:
    """Answer programs that look whether a server is there. At Ollama's port they look for Ollama's words."""
    if request.scope["server"][1] == request.app.state.ollama_port:
        return "Ollama is running"
    return "captionq is running. The API is at /v1, its description at /openapi.json.\n"


@router.get(
    "/readyz",
    response_model=Readiness,
    response_description="The server can answer",
    summary="Check readiness",
    responses={503: {"model": Readiness, "description": "Not ready"}},
)
def readyz(response: Response, resources: ResourcesDep) -> Readiness:
    """Check that broker, database and a worker are available. A model is loaded at the first request for it."""
    workers: list[WorkerReady] = []

    def ask_workers() -> None:
        workers.extend(
            WorkerReady(
                model=None if state.model is None else public_name(state.model),
                batching=state.batching,
                status=state.status,
                jobs=state.jobs,
                rate=state.rate,
                last_seen_at=state.at,
                rows=state.rows,
                slots=state.slots,
            )
            for state in resources.workers()
        )

    broker = _answers(ask_workers)
    database = _answers(lambda: resources.store.find("job_"))
    draining = resources.draining.is_set()
    ready = broker and database and any(one.status != "draining" for one in workers) and not draining
    if not ready:
        response.status_code = 503
    model = resources.settings.model
    return Readiness(
        ready=ready,
        broker=broker,
        database=database,
        draining=draining,
        model=public_name(model),
        model_is_here=is_here(model),
        workers=workers,
    )


def _answers(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except (RedisError, SQLAlchemyError) as error:
        logger.warning("Not ready: %s.", type(error).__name__)
        return False
    return True

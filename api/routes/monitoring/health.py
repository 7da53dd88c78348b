"""`/healthz`, also as `/health`, and `/readyz`: health checks for monitoring, without a key."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from api.runtime.dependencies import ResourcesDep
from api.runtime.resources import Resources
from api.schemas.health import Alive, Readiness, WorkerReady
from jobs.errors import DatabaseError
from jobs.models.model_info import is_here, public_name
from jobs.queue.worker_state import WorkerState
from jobs.store.write_checks import check_room, check_turn

logger = logging.getLogger("captionq.api")
#: The code of the problem of a worker whose engine stands still.
STANDS_STILL = "worker_stands_still"
router = APIRouter(tags=["health"])


@router.head("/health", include_in_schema=False)
@router.head("/healthz", include_in_schema=False)
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


@router.head("/readyz", include_in_schema=False)
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
    problems: set[str] = set()

    def ask_workers() -> None:
        for state in resources.workers():
            workers.append(_worker_ready(state))
            problems.update([STANDS_STILL] * state.stands_still, [state.fault_code] * bool(state.fault_code))

    broker = _answers(ask_workers)
    database = _answers(lambda: resources.store.find("job_"))
    draining = resources.draining.is_set()
    storage = _faults_of_storage(resources) if database else []
    takes_jobs = any(one.status != "draining" and not one.stands_still for one in workers)
    ready = broker and database and not storage and takes_jobs and not draining
    if not ready:
        response.status_code = 503
        if broker and database and not draining:
            logger.warning("Not ready: %s.", ", ".join([*storage, *sorted(problems)]) or "no worker")
    model = resources.settings.model
    return Readiness(
        ready=ready,
        broker=broker,
        database=database,
        draining=draining,
        model=public_name(model),
        model_is_here=is_here(model),
        workers=workers,
        problems=sorted({*storage, *problems}),
    )


def _faults_of_storage(resources: Resources) -> list[str]:
    """Return the codes of the faults that keep the database from taking a request."""
    codes = []
    for check in (
        partial(check_room, resources.settings),
        partial(check_turn, resources.store.engine, resources.settings),
    ):
        try:
            check()
        except DatabaseError as error:
            codes.append(error.code)
    return codes


def _worker_ready(state: WorkerState) -> WorkerReady:
    """Return the worker as clients see it."""
    return WorkerReady(
        model=None if state.model is None else public_name(state.model),
        batching=state.batching,
        status=state.status,
        jobs=state.jobs,
        rate=state.rate,
        last_seen_at=state.at,
        rows=state.rows,
        slots=state.slots,
        stands_still=state.stands_still,
        bulk_wait=state.bulk_wait or None,
    )


def _answers(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except (RedisError, SQLAlchemyError) as error:
        logger.warning("Not ready: %s.", type(error).__name__)
        return False
    return True

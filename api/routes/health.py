"""Whether it lives, and whether it can work. Asked by machines, so without a key."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from api.runtime.dependencies import ResourcesDep
from jobs.models.model_info import is_here, public_name

logger = logging.getLogger("captionq.api")
router = APIRouter(tags=["health"])


class Alive(BaseModel):
    status: Literal["ok"] = "ok"


class WorkerReady(BaseModel):
    """A worker, as it said of itself lately."""

    #: The model that it has loaded; null: none yet.
    model: str | None
    #: `together`, `one by one` or `alone`: the last one means that rows of this model change each other's answers in company.
    batching: str | None
    rows: int
    slots: int


class Readiness(BaseModel):
    """What is there of what an answer needs."""

    ready: bool
    broker: bool
    database: bool
    draining: bool
    #: The default model, and whether it is on this machine: one that is not is fetched at the first request for it.
    model: str
    model_is_here: bool
    workers: list[WorkerReady]


@router.get("/healthz", response_model=Alive)
async def healthz() -> Alive:
    """The process answers."""
    # On the loop: it is alive also when all threads are busy.
    return Alive()


@router.get("/readyz", response_model=Readiness, responses={503: {"model": Readiness, "description": "Not ready"}})
def readyz(response: Response, resources: ResourcesDep) -> Readiness:
    """Broker, database and a worker are there; a model is loaded at the first request for it."""
    workers: list[WorkerReady] = []

    def ask_workers() -> None:
        workers.extend(
            WorkerReady(
                model=None if state.model is None else public_name(state.model),
                batching=state.batching,
                rows=state.rows,
                slots=state.slots,
            )
            for state in resources.workers()
        )

    broker = _answers(ask_workers)
    database = _answers(lambda: resources.store.find("job_"))
    draining = resources.draining.is_set()
    ready = broker and database and bool(workers) and not draining
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

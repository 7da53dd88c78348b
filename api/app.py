"""The application: its routes, its middleware, and the resources that it holds while it runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from api.background_tasks import BackgroundTasks
from api.errors.body import ErrorBody
from api.errors.handlers import install_error_handlers
from api.intake.ignored_parameters import HEADER
from api.middleware.api_keys import KeyCheck
from api.middleware.body_limit import BodyLimit
from api.middleware.request_log import RequestLog
from api.middleware.request_metrics import RequestMetrics
from api.middleware.same_site import SameSite
from api.openapi import install_openapi
from api.pages import router as pages
from api.pages.page_state import PageState
from api.routes import (
    batches,
    chat,
    downloads,
    files,
    folders,
    jobs,
    lm_studio,
    message_batches,
    messages,
    models,
    ollama,
    ollama_models,
    responses,
    runs,
)
from api.routes.monitoring import health, metrics, workers
from api.runtime.activity import Activity
from api.runtime.resources import open_resources
from jobs.configuration.settings import Settings
from jobs.webhooks.message import check_webhook_secret

#: Errors that any route may answer with.
_ERRORS = {
    400: "The request is not valid",
    401: "The API key is missing or invalid",
    403: "Forbidden: the host, an address or a path",
    408: "The body arrived too slowly",
    413: "The body or the upload is too large",
    503: "The broker, the database or a worker is not available; see Retry-After",
}

#: Headers of responses that pages of allowed origins may read.
_EXPOSED = ("x-request-id", "x-captionq-job", HEADER, "x-should-retry", "retry-after")


def create_app(settings: Settings, *, ollama_port: int | None = None) -> FastAPI:
    """Return the API with these settings; `ollama_port`: the port at which it is taken for Ollama.

    Raises SettingsError. Its lifespan raises BrokerError, DatabaseError and DataFolderError.
    """
    check_webhook_secret(settings)
    request_metrics, activity = RequestMetrics(), Activity()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with open_resources(settings, request_metrics, activity) as resources:
            app.state.resources = resources
            page_state = PageState.of(resources)
            app.state.page = page_state
            background_tasks = BackgroundTasks(resources)
            page_state.start()
            background_tasks.start()
            try:
                yield
            finally:
                activity.close()
                background_tasks.close()
                page_state.close()

    app = FastAPI(
        title="captionq",
        version=version("captionq"),
        summary="Captions images and answers questions about them, through a durable queue.",
        lifespan=lifespan,
        # FastAPI's pages fetch scripts from a CDN. The document itself is at /openapi.json.
        docs_url=None,
        redoc_url=None,
        responses={status: {"model": ErrorBody, "description": words} for status, words in _ERRORS.items()},
    )
    app.state.ollama_port = ollama_port
    install_error_handlers(app)
    # Routes are tried in this order: first those that are asked most. The page's route of `/` leaves programs to a later one.
    dialects = (chat, responses, messages, ollama, ollama_models)
    for module in (
        *dialects,
        pages,
        jobs,
        folders,
        runs,
        files,
        batches,
        message_batches,
        models,
        downloads,
        lm_studio,
        health,
        metrics,
        workers,
    ):
        app.include_router(module.router)
    install_openapi(app)
    _add_middleware(app, settings, request_metrics, activity)
    return app


def _add_middleware(app: FastAPI, settings: Settings, request_metrics: RequestMetrics, activity: Activity) -> None:
    """Add the middleware, the innermost first."""
    app.add_middleware(BodyLimit, settings=settings)
    app.add_middleware(KeyCheck, settings=settings)
    if not settings.api_keys:
        app.add_middleware(SameSite, allowed_origins=settings.allowed_origins)
    if settings.allowed_origins:
        # Outside of the key check: browsers send no key when they ask whether they may call (preflight).
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.allowed_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            allow_private_network=True,
            expose_headers=_EXPOSED,
        )
    app.add_middleware(RequestLog, metrics=request_metrics, on_change=activity.begins)

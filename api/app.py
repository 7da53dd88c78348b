"""The application: routes, what is around them, and what it holds while it runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI

from api.background_tasks import BackgroundTasks
from api.errors.body import ErrorBody
from api.errors.handlers import install_error_handlers
from api.middleware.api_keys import KeyCheck
from api.middleware.body_limit import BodyLimit
from api.middleware.request_log import RequestLog
from api.middleware.request_metrics import RequestMetrics
from api.middleware.same_site import SameSite
from api.openapi import install_openapi
from api.routes import chat, files, folders, health, jobs, metrics, models
from api.runtime.resources import open_resources
from jobs.settings import Settings
from jobs.webhooks.message import check_webhook_secret

#: On every route that asks for a key, takes a body or answers at all.
_ERRORS = {
    400: "The request is not valid",
    401: "No valid API key",
    403: "Not allowed",
    408: "The body stopped coming",
    413: "Too large",
    503: "Broker, database or worker are away",
}


def create_app(settings: Settings) -> FastAPI:
    """The API on these settings. Raises SettingsError; opening it BrokerError, DatabaseError, DataFolderError."""
    check_webhook_secret(settings)
    seen = RequestMetrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with open_resources(settings, seen) as resources:
            app.state.resources = resources
            housekeeping = BackgroundTasks(resources)
            housekeeping.start()
            try:
                yield
            finally:
                housekeeping.close()

    app = FastAPI(
        title="captionq",
        version=version("captionq"),
        summary="Captions and answers about images, through a queue that loses nothing.",
        lifespan=lifespan,
        # Their pages fetch scripts from a CDN; the document itself is at /openapi.json.
        docs_url=None,
        redoc_url=None,
        responses={status: {"model": ErrorBody, "description": words} for status, words in _ERRORS.items()},
    )
    install_error_handlers(app)
    for module in (chat, jobs, folders, files, models, health, metrics):
        app.include_router(module.router)
    install_openapi(app)
    app.add_middleware(BodyLimit, settings=settings)
    app.add_middleware(KeyCheck, settings=settings)
    if not settings.api_keys:
        app.add_middleware(SameSite)
    app.add_middleware(RequestLog, metrics=seen)
    return app

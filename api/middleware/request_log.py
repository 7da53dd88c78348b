"""The id of each request, and its line in the log."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable
from urllib.parse import quote
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors.response import send_error
from api.middleware.request_metrics import RequestMetrics
from jobs.errors import CaptionqError

logger = logging.getLogger("captionq.access")

#: Most characters of a client's path, and of the reason of a refusal, in the log.
MAX_PATH, MAX_REASON = 200, 300
_REQUEST_ID = re.compile(r"[\w.-]{1,64}")
#: Routes that monitoring calls every few seconds: they are not logged.
_QUIET = ("/health", "/healthz", "/readyz", "/metrics")


class RequestLog:
    """Plain ASGI middleware, so that routes notice at once when a client disconnects."""

    def __init__(self, app: ASGIApp, metrics: RequestMetrics, on_change: Callable[[], None]) -> None:
        """`on_change` is called when a request begins that may change something."""
        self._app = app
        self._metrics = metrics
        self._on_change = on_change

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else f"req_{uuid4().hex}"
        scope["captionq.request"] = request_id
        begun, status, has_begun, reason = time.perf_counter(), 500, False, None
        scope["captionq.begun"] = begun
        if scope["method"] not in ("GET", "HEAD"):
            self._on_change()

        async def send_with_id(message: Message) -> None:
            nonlocal status, has_begun, reason
            if message["type"] == "http.response.start":
                has_begun = True
                status = message["status"]
                sent = MutableHeaders(scope=message)
                sent["x-request-id"] = request_id
                if scope["path"].startswith("/v1/messages"):
                    # Anthropic's name for it.
                    sent["request-id"] = request_id
            elif status >= 400 and reason is None:
                reason = _reason(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception:
            logger.exception("%s failed.", request_id)
            if has_begun:
                raise
            await send_error(CaptionqError(), scope, send_with_id)
        finally:
            self._log(scope, request_id, status, time.perf_counter() - begun, reason)

    def _log(self, scope: Scope, request_id: str, status: int, seconds: float, reason: str | None) -> None:
        route = getattr(scope.get("route"), "path", "unknown")
        self._metrics.answered(scope["method"], route, status, seconds)
        if route in _QUIET:
            return
        fields = {
            "request": request_id,
            "method": scope["method"],
            "route": route,
            # The client's own text, quoted: it cannot end the line, nor say something to a terminal.
            "path": quote(scope["path"], safe="/%:", errors="replace")[:MAX_PATH] if route == "unknown" else None,
            "status": status,
            "seconds": round(seconds, 4),
            "caller": scope.get("captionq.caller"),
            "job": scope.get("captionq.job"),
            "reason": reason,
        }
        known = {name: value for name, value in fields.items() if value is not None}
        words = " ".join(
            f"{name}={value!r}" if name == "reason" else f"{name}={value}" for name, value in known.items()
        )
        logger.info("answered %s", words, extra={"fields": known})


def _reason(body: bytes) -> str | None:
    """Return the message of an error's body, for the log; None: the body is not an error's."""
    try:
        error = json.loads(body)["error"]
        # Ollama's errors are a sentence.
        return str(error if isinstance(error, str) else error["message"])[:MAX_REASON]
    except (ValueError, KeyError, TypeError):
        return None
